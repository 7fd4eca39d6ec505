// The enlarged view of a region: its surroundings, what is drawn over them, verdicts and a note.
"use strict";

(function (ink) {
  const OTHER_COLOUR = "#c2410c"; // of flagged clusters without a card of their own
  const NORMAL = { brightness: 100, contrast: 100 };
  const tools = ink.viewTools;
  let outlined = true;
  let view = null; // of the exported page
  let seen = { slide: null, region: null };
  let magnification = null; // µm per pixel of the screen that the reader chose; null: as a place opens
  let openedAt = 0; // µm per pixel of the screen at which the image was opened

  // --- What is seen: the surroundings of a region. A server shows the slide instead: it sets another ink.placeView. ---

  function drawOutlines(context, frame) {
    const { region } = seen;
    if (!region) return; // closed
    const side = region.context_px;
    const path = (ring) => {
      const found = new Path2D();
      ring.forEach(([x, y], number) => (number === 0 ? found.moveTo(...frame.toScreen(x * side, y * side)) : found.lineTo(...frame.toScreen(x * side, y * side))));
      found.closePath();
      return found;
    };
    if (!outlined) return;
    for (const ring of region.other_rings ?? []) ink.strokeTwice(context, path(ink.visibleRing(ring)), OTHER_COLOUR, [5, 3], 2);
    ink.strokeTwice(context, path(region.ring), "#111", [], 2);
  }

  function drawOver(context, frame) {
    drawOutlines(context, frame);
    const { slide, region } = seen;
    if (!region) return;
    const perUm = region.context_px / region.context_um;
    ink.drawNuclei(context, region, (x, y) => frame.toScreen(x * slide.mpp[0] * perUm, y * slide.mpp[1] * perUm));
  }

  function built() {
    const failed = () => view.box.replaceChildren(ink.make("span", { class: "no-image", text: "The image cannot be read." }));
    view ??= ink.zoomView({ label: "The region in its surroundings. Drag to move, wheel to zoom.", navigator: false, draw: drawOver, moved: ink.showMagnification, failed });
    return view;
  }

  ink.placeView = {
    view: () => view,
    box: (slide, region) => (region.context ? built().box : ink.make("span", { class: "no-image", text: "no image" })),

    show(slide, region) {
      if (!region.context) return;
      const other = seen.region !== region;
      const now = other && seen.region && view.ready ? view.umPerPx() : openedAt;
      if (Math.abs(now / openedAt - 1) > 0.02) magnification = now; // the reader's own is kept from region to region
      seen = { slide, region };
      if (!other) return view.redraw();
      const side = region.context_px;
      const um = region.context_um / side;
      view.open({ type: "image", url: region.context, buildPyramid: false }, { mpp: [um, um], clip: [side, side], key: region.context }, () => {
        view.centreOn(side / 2, side / 2, true);
        if (magnification === null) view.fit(region.side_um, ink.opensAt(slide), true);
        else view.magnify(magnification, true);
        openedAt = view.umPerPx();
      });
    },

    /** As the place opened. */
    reset(slide, region) {
      view.turn(null);
      view.fit(region.side_um, ink.opensAt(slide));
      view.centreOn(region.context_px / 2, region.context_px / 2);
      magnification = null;
    },

    closed() {
      seen = { slide: null, region: null };
      magnification = null;
    },

    /** [name, words, whether it is on] of what can be drawn over the pixels. */
    overlays: (slide) => [["outline", `Outline of the ${slide.unit}`, outlined]],

    turn(slide, name, on) {
      outlined = on;
      view?.redraw();
    },
  };

  /** Zoom in for 1, out for -1. */
  ink.zoomBy = (step) => ink.placeView.view()?.zoomBy(step > 0 ? 1.6 : 1 / 1.6);
  ink.panBy = (x, y) => ink.placeView.view()?.panBy(x, y);
  ink.magnify = (umPerPx) => ink.placeView.view()?.magnify(umPerPx);
  ink.turnView = (degrees) => ink.placeView.view()?.turn(degrees);

  // --- Controls -----------------------------------------------------------------------------------------------------

  /** Keys of the magnifications, with µm per pixel of the screen. */
  ink.MAGNIFICATIONS = [["1", 1.0], ["2", 0.5], ["4", 0.25]];

  /** Say how far the view is zoomed, as it changes. */
  ink.showMagnification = function () {
    const now = ink.placeView.view();
    const words = ink.at("context").querySelector(".field-words");
    if (!words || !now?.ready) return;
    const um = now.fieldUm();
    const text = `${ink.magnificationWords(now.umPerPx())} · ${um >= 1000 ? `${(um / 1000).toFixed(2)} mm` : `${Math.round(um)} µm`} wide`;
    if (words.textContent !== text) words.textContent = text;
  };

  /** Buttons above the image; `region` is null where the whole slide is looked at, `more` are further buttons. */
  ink.viewToolbar = function (slide, region, more = []) {
    const now = () => ink.placeView.view();
    const button = (words, title, run, key) =>
      ink.make("button", { type: "button", title, "aria-label": title, on: { click: run } }, words, key ? ink.make("kbd", { text: key, "aria-hidden": "true" }) : null);
    const measure = button("Measure", "Measure: drag a line from edge to edge", () => {
      now()?.measure(!tools.measuring);
      measure.setAttribute("aria-pressed", String(tools.measuring));
    });
    measure.setAttribute("aria-pressed", String(tools.measuring));
    return ink.make(
      "div",
      { class: "view-tools", role: "toolbar", "aria-label": "Image" },
      button("−", "Zoom out", () => ink.zoomBy(-1)),
      button("+", "Zoom in", () => ink.zoomBy(1)),
      ...ink.MAGNIFICATIONS.map(([key, um]) => button(ink.magnificationWords(um), `${ink.magnificationWords(um)}: ${um} µm per pixel of the screen`, () => ink.magnify(um), ink.verdictKeys.has(key) ? "" : key)),
      ...more,
      button("↺", "Turn left by 15°", () => ink.turnView(-15), ","),
      button("↻", "Turn right by 15°", () => ink.turnView(15), "."),
      measure,
      ...ink.nucleiSwitch(region),
      button("Save image", "Save this image with its scale bar", () => now()?.ready && ink.savePicture(now(), slide, region)),
      button("Copy link", "Copy a link to this place", () => ink.copyLink(slide, region)),
      ink.make("span", { class: "field-words" }),
    );
  };

  function slider(name, words) {
    const value = ink.make("output", { text: `${tools[name]} %` });
    const input = ink.make("input", {
      type: "range",
      min: "40",
      max: "200",
      step: "5",
      data: { view: name },
      value: String(tools[name]),
      "aria-label": words,
      on: {
        input: () => {
          tools[name] = Number(input.value);
          value.textContent = `${tools[name]} %`;
          ink.placeView.view()?.applyLight();
        },
      },
    });
    return ink.make("label", { class: "slider" }, ink.make("span", { text: words }), input, value);
  }

  /** What is drawn over the pixels, brightness and contrast; `repaint` draws the panel again, `more` stands above, `beside` the last row. */
  ink.viewControls = function (slide, region, repaint, more = [], beside = []) {
    const switches = ink.placeView.overlays(slide, region).map(([name, words, on]) => {
      const input = ink.make("input", { type: "checkbox", data: { layer: name }, on: { change: () => ink.placeView.turn(slide, name, input.checked, input) } });
      input.checked = on;
      return ink.make("label", { class: "layer" }, input, ` ${words}`);
    });
    const reset = ink.make("button", {
      type: "button",
      text: "Reset view",
      on: {
        click: () => {
          Object.assign(tools, NORMAL);
          ink.placeView.view()?.applyLight();
          ink.placeView.reset(slide, region);
          repaint();
        },
      },
    });
    return ink.make(
      "div",
      { class: "view", role: "group", "aria-label": "View" },
      switches.length > 0 ? ink.make("div", { class: "layer-switches" }, ...switches) : null,
      ...more,
      slider("brightness", "Brightness"),
      slider("contrast", "Contrast"),
      ink.make("div", { class: "view-row" }, reset, ...beside),
    );
  };

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
    const calls = Object.entries(region.calls ?? {}).map(([head, words]) => ink.make("tr", { class: "called" }, ink.make("th", { scope: "row", text: `${ink.words(head)}, call` }), ink.make("td", { text: ink.callWords(words) })));
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

  /** Fill the dialog; `actions` are go(step), choose(head, verdict), note(text) and close(). */
  ink.showContext = function (slide, region, actions) {
    const dialog = ink.at("context");
    const key = ink.regionKey(slide, region);
    const where = ink.regionWords(slide, region);
    const repaint = () => ink.showContext(slide, region, actions);
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
      ),
      ink.make(
        "div",
        { class: "acts" },
        ink.verdictButtons(slide, region, actions.choose, true),
        ink.make("label", { class: "note-label" }, ink.make("span", {}, "Note ", ink.make("kbd", { text: "n" })), note),
      ),
      ink.viewControls(slide, region, repaint),
    );
    const active = document.activeElement;
    const held = dialog.open && dialog.contains(active) ? active.dataset : null;
    const step = (by, words, sign) =>
      ink.make("button", { type: "button", class: "step", "aria-label": words, text: sign, data: { step: String(by) }, on: { click: () => actions.go(by) } });
    dialog.replaceChildren(
      ink.make("div", { class: "stage" }, ink.viewToolbar(slide, region), ink.placeView.box(slide, region)),
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
    ink.placeView.show(slide, region);
    dialog.querySelector(again)?.focus();
  };

  ink.hideContext = function () {
    ink.placeView.closed();
    ink.at("context").close();
  };
})(Inkdot);
