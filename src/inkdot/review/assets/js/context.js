// The enlarged view of a region: its surroundings, brightness and contrast, verdicts and a note.
"use strict";

(function (ink) {
  const NORMAL = { brightness: 100, contrast: 100, zoom: 100 };
  const light = { ...NORMAL };
  let outlined = true;

  function slider(name, words, range, apply) {
    const value = ink.make("output", { text: `${light[name]} %` });
    const input = ink.make("input", {
      type: "range",
      min: String(range[0]),
      max: String(range[1]),
      step: String(range[2]),
      data: { view: name },
      value: String(light[name]),
      "aria-label": words,
      on: {
        input: () => {
          light[name] = Number(input.value);
          value.textContent = `${light[name]} %`;
          apply();
        },
      },
    });
    return ink.make("label", { class: "slider" }, ink.make("span", { text: words }), input, value);
  }

  const fieldUm = (region) => (region.context ? region.context_um : region.side_um);

  /** The image in a sheet that zooms and pans below the scale bar; an image that is shown already is reused, to avoid flicker. */
  function stage(slide, region, shown) {
    const box = ink.image(region.context, `Region ${region.rank} in its surroundings`, ink.roundBar(fieldUm(region)), false);
    const image = box.querySelector("img");
    if (!image) return box;
    const sheet = ink.make("div", { class: "sheet" }, shown || image);
    if (shown) image.remove();
    if (outlined) sheet.append(ink.outline(region.ring), ...(region.other_rings ?? []).map((ring) => ink.outline(ring, true)));
    const pan = ink.make("div", { class: "pan", tabindex: "-1" }, sheet);
    dragToMove(pan);
    box.prepend(pan);
    return box;
  }

  function dragToMove(pan) {
    pan.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) pan.setPointerCapture(event.pointerId);
    });
    pan.addEventListener("pointermove", (event) => {
      if (pan.hasPointerCapture(event.pointerId)) pan.scrollBy(-event.movementX, -event.movementY);
    });
  }

  /** Apply brightness, contrast and zoom; the scale bar follows, the centre stays. */
  function applyView(region, box) {
    const pan = box.querySelector(".pan");
    if (!pan) return;
    const image = pan.querySelector("img");
    image.style.filter = `brightness(${light.brightness}%) contrast(${light.contrast}%)`;
    const sheet = pan.querySelector(".sheet");
    const before = sheet.offsetWidth || 1;
    const middle = [(pan.scrollLeft + pan.clientWidth / 2) / before, (pan.scrollTop + pan.clientHeight / 2) / before];
    sheet.style.width = sheet.style.height = `${light.zoom}%`;
    pan.classList.toggle("zoomed", light.zoom > 100);
    pan.scrollTo(middle[0] * sheet.offsetWidth - pan.clientWidth / 2, middle[1] * sheet.offsetWidth - pan.clientHeight / 2);
    box.querySelector(".scale").replaceWith(ink.scaleBar(ink.roundBar(fieldUm(region) / (light.zoom / 100))));
  }

  /** Pan the zoomed image by a tenth of the view. */
  ink.panBy = function (x, y) {
    const pan = ink.at("context").querySelector(".pan");
    pan?.scrollBy((x * pan.clientWidth) / 10, (y * pan.clientHeight) / 10);
  };

  /** Zoom by one step of the slider. */
  ink.zoomBy = function (step) {
    const input = ink.at("context").querySelector('[data-view="zoom"]');
    if (!input) return;
    input.value = String(Number(input.value) + step);
    input.dispatchEvent(new Event("input"));
  };

  function viewControls(slide, region, repaint, box) {
    const apply = () => applyView(region, box);
    const outline = ink.make("input", {
      type: "checkbox",
      on: {
        change: () => {
          outlined = outline.checked;
          repaint();
        },
      },
    });
    outline.checked = outlined;
    const reset = ink.make("button", {
      type: "button",
      text: "Reset view",
      on: {
        click: () => {
          Object.assign(light, NORMAL);
          repaint();
        },
      },
    });
    return ink.make(
      "div",
      { class: "view", role: "group", "aria-label": "View" },
      slider("zoom", "Zoom", [100, 400, 50], apply),
      slider("brightness", "Brightness", [40, 200, 5], apply),
      slider("contrast", "Contrast", [40, 200, 5], apply),
      ink.make("div", { class: "view-row" }, ink.make("label", {}, outline, ` Outline the ${slide.unit}`), reset),
    );
  }

  /** A table of the scores of all classes, and one of the calls. */
  function scoreTables(region) {
    if (ink.blinded) return [];
    const rows = ink.facts.heads.flatMap((head) => {
      return ink.scoresMatter(head, region)
        ? head.classes.map((item) =>
            ink.make(
              "tr",
              {},
              ink.make("th", { scope: "row", text: `${ink.words(head.name)}: ${item.words}` }),
              ink.make("td", { text: ink.score(region.scores[head.name]?.[item.name] ?? null) }),
            ),
          )
        : [];
    });
    const calls = Object.entries(region.calls ?? {}).map(([head, words]) => ink.make("tr", { class: "called" }, ink.make("th", { scope: "row", text: `${ink.words(head)}, call` }), ink.make("td", { text: words })));
    return [rows, calls].filter((part) => part.length > 0).map((part) => ink.make("table", { class: "scores" }, ink.make("tbody", {}, ...part)));
  }

  /** Measurements of the nuclei, each with its definition as a hint. */
  function measureTable(slide, region) {
    const rows = ink.measureRows(slide, region);
    if (rows.length === 0) return null;
    return ink.make(
      "table",
      { class: "scores measures" },
      ink.make("caption", { text: "Nuclei of this cluster" }),
      ink.make("tbody", {}, ...rows.map(([words, value, title]) => ink.make("tr", { title }, ink.make("th", { scope: "row", text: words }), ink.make("td", { text: value })))),
    );
  }

  /** After a verdict only the buttons are redrawn, and only if they changed: the rest may be in use. */
  ink.refreshVerdicts = function (slide, region, actions) {
    const old = ink.at("context").querySelector(".verdict-groups");
    const fresh = ink.verdictButtons(slide, region, actions.choose, true);
    if (!old || old.isEqualNode(fresh)) return;
    const active = old.contains(document.activeElement) ? document.activeElement.dataset : null;
    old.replaceWith(fresh);
    if (active) fresh.querySelector(`[data-head="${active.head}"][data-verdict="${active.verdict}"]`)?.focus();
  };

  function centre(box) {
    const pan = box.querySelector(".pan");
    pan?.scrollTo((pan.scrollWidth - pan.clientWidth) / 2, (pan.scrollHeight - pan.clientHeight) / 2);
  }

  /** Fill the dialog; `actions` are go(step), choose(head, verdict), note(text) and close(). */
  ink.showContext = function (slide, region, actions) {
    const dialog = ink.at("context");
    const key = ink.regionKey(slide, region);
    const where = ink.regionWords(slide, region);
    const repaint = () => ink.showContext(slide, region, actions);
    const same = dialog.open && dialog.dataset.region === key;
    const old = same ? dialog.querySelector(".pan") : null;
    const seen = old ? [old.scrollLeft, old.scrollTop] : null;
    const box = stage(slide, region, old?.querySelector("img"));
    const field = Math.round(fieldUm(region));
    const note = ink.make("textarea", { id: "note", rows: "2", maxlength: "2000", on: { change: () => actions.note(note.value) } });
    note.value = ink.verdicts.note(key);
    const panel = ink.make(
      "div",
      { class: "panel" },
      ink.make(
        "div",
        { class: "facts" },
        ink.make("h2", { id: "context-title", tabindex: "-1", text: `Region ${region.rank}` }),
        ink.make("p", { class: "slide-of", text: slide.id }),
        ink.blinded ? null : ink.scoreLine(slide, region),
        ink.scoreMeter(slide, region),
        ink.spreadLine(region),
        ink.reliabilityLine(region),
        ...scoreTables(region),
        ink.reservations(region),
        measureTable(slide, region),
        ink.make("p", { class: "where" }, ink.make("span", { text: where.px }), ink.make("span", { text: where.mm })),
        ink.make("p", { class: "fine", text: `Field ${field} µm wide.` }),
      ),
      ink.make(
        "div",
        { class: "acts" },
        ink.verdictButtons(slide, region, actions.choose, true),
        ink.make("label", { class: "note-label" }, ink.make("span", {}, "Note ", ink.make("kbd", { text: "n" })), note),
      ),
      viewControls(slide, region, repaint, box),
    );
    const active = document.activeElement;
    const held = dialog.open && dialog.contains(active) ? active.dataset : null;
    const step = (by, words, sign) =>
      ink.make("button", { type: "button", class: "step", "aria-label": words, text: sign, data: { step: String(by) }, on: { click: () => actions.go(by) } });
    dialog.replaceChildren(
      ink.make("div", { class: "stage" }, box),
      panel,
      ink.make(
        "div",
        { class: "context-tools" },
        step(-1, "Previous region", "‹"),
        step(1, "Next region", "›"),
        ink.make("button", { type: "button", class: "step", "aria-label": "Close", text: "×", on: { click: actions.close } }),
      ),
    );
    dialog.dataset.region = key;
    if (!dialog.open) dialog.showModal();
    const again = held?.verdict ? `[data-head="${held.head}"][data-verdict="${held.verdict}"]` : held?.step ? `[data-step="${held.step}"]` : "h2";
    applyView(region, box);
    if (seen) box.querySelector(".pan").scrollTo(...seen);
    else centre(box);
    dialog.querySelector(again)?.focus();
  };

  ink.hideContext = () => ink.at("context").close();

  ink.showHelp = function () {
    const dialog = ink.at("help");
    const rows = [
      ["← → ↑ ↓", "move between regions"],
      ["Home, End", "first and last region of the page"],
      ["Enter", "open a region with its surroundings; Esc closes it"],
      ["[ ]", "previous and next slide"],
      ...ink.facts.heads.flatMap((head) => head.verdicts.map((verdict) => [ink.keyOf(head.name, verdict.name), `${ink.words(head.name)}: ${ink.words(verdict.name)}`])),
      [ink.keyOf(ink.finder.name, ink.finder.verdicts[0].name), `not a cell: ${ink.noCellMeans}`],
      ["Backspace", "clear the verdicts of a region"],
      ["n", "write a note"],
      ["+ −", "zoom the enlarged view; drag, or Shift and arrows, to move it"],
      ["o", "the whole slide, enlarged"],
      ["z", "undo"],
      ["?", "show this list"],
    ];
    const conditions = ink.facts.heads
      .filter((head) => head.condition !== null)
      .map(ink.conditionWords);
    dialog.replaceChildren(
      ink.make("h2", { id: "help-title", tabindex: "-1", text: "Keys" }),
      ink.make("table", {}, ink.make("tbody", {}, ...rows.map(([key, words]) => ink.make("tr", {}, ink.make("th", { scope: "row" }, ink.make("kbd", { text: key })), ink.make("td", { text: words }))))),
      ...conditions.map((text) => ink.make("p", { text })),
      ink.make("p", { text: "Verdicts are stored in this browser, separately for each reader. Save verdicts writes them to verdicts.csv." }),
      ink.make("button", { type: "button", class: "primary", text: "Close", on: { click: () => dialog.close() } }),
    );
    dialog.showModal();
    ink.at("help-title").focus(); // the button below would be scrolled to on a low screen
  };
})(Inkdot);
