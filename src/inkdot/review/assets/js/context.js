// A place enlarged, with its surroundings, brightness and contrast, answers and a note.
"use strict";

(function (ink) {
  const light = { brightness: 100, contrast: 100 };
  let outlined = true;

  function slider(name, words, apply) {
    const value = ink.make("output", { text: `${light[name]} %` });
    const input = ink.make("input", {
      type: "range",
      min: "40",
      max: "200",
      step: "5",
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

  /** The picture; an image that is shown already moves over, so that nothing flickers while answering. */
  function stage(slide, place, shown) {
    const bar = place.context ? slide.context_bar : slide.tile_bar;
    const picture = ink.picture(place.context, `Place ${place.rank} in its surroundings`, bar, false);
    if (shown) picture.querySelector("img")?.replaceWith(shown);
    if (place.context && outlined) picture.append(ink.outline(slide.context_factor));
    return picture;
  }

  function viewControls(slide, place, repaint, image) {
    const apply = () => {
      if (image) image.style.filter = `brightness(${light.brightness}%) contrast(${light.contrast}%)`;
    };
    apply();
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
          Object.assign(light, { brightness: 100, contrast: 100 });
          repaint();
        },
      },
    });
    return ink.make(
      "div",
      { class: "view", role: "group", "aria-label": "View" },
      slider("brightness", "Brightness", apply),
      slider("contrast", "Contrast", apply),
      ink.make("div", { class: "view-row" }, ink.make("label", {}, outline, " Outline the tile"), reset),
    );
  }

  function scoreTable(slide, place) {
    if (ink.blinded) return null;
    const rows = ink.facts.heads.flatMap((head) => {
      const asked = head.condition === null || head.condition[0] !== ink.flagHead.name || place.flagged;
      return asked
        ? head.classes.map((item) =>
            ink.make(
              "tr",
              {},
              ink.make("th", { scope: "row", text: `${ink.words(head.name)}: ${item.words}` }),
              ink.make("td", { text: ink.score(place.scores[head.name]?.[item.name] ?? null) }),
            ),
          )
        : [];
    });
    return ink.make("table", { class: "scores" }, ink.make("tbody", {}, ...rows));
  }

  /** Fill the dialog; `actions` are go(step), choose(head, answer), note(text) and close(). */
  ink.showContext = function (slide, place, actions) {
    const dialog = ink.at("context");
    const key = ink.placeKey(slide, place);
    const where = ink.placeWords(slide, place);
    const repaint = () => ink.showContext(slide, place, actions);
    const picture = stage(slide, place, dialog.dataset.place === key ? dialog.querySelector("img") : null);
    const field = +(slide.side_um * (place.context ? slide.context_factor : 1)).toFixed(1);
    const note = ink.make("textarea", { id: "note", rows: "2", maxlength: "2000", on: { change: () => actions.note(note.value) } });
    note.value = ink.answers.note(key);
    const panel = ink.make(
      "div",
      { class: "panel" },
      ink.make(
        "div",
        { class: "facts" },
        ink.make("h2", { id: "context-title", tabindex: "-1", text: `Place ${place.rank}` }),
        ink.make("p", { class: "slide-of", text: slide.id }),
        ink.blinded ? null : ink.scoreLine(slide, place),
        ink.scoreMeter(slide, place),
        scoreTable(slide, place),
        ink.make("p", { class: "where" }, ink.make("span", { text: where.px }), ink.make("span", { text: where.mm })),
        ink.make("p", { class: "fine", text: `Field ${field} µm wide.` }),
      ),
      ink.make(
        "div",
        { class: "acts" },
        ink.answerButtons(slide, place, actions.choose, true),
        ink.make("label", { class: "note-label" }, ink.make("span", {}, "Note ", ink.make("kbd", { text: "n" })), note),
      ),
      viewControls(slide, place, repaint, picture.querySelector("img")),
    );
    const active = document.activeElement;
    const held = dialog.open && dialog.contains(active) ? active.dataset : null;
    const step = (by, words, sign) =>
      ink.make("button", { type: "button", class: "step", "aria-label": words, text: sign, data: { step: String(by) }, on: { click: () => actions.go(by) } });
    dialog.replaceChildren(
      ink.make("div", { class: "stage" }, picture),
      panel,
      ink.make(
        "div",
        { class: "context-tools" },
        step(-1, "Previous place", "‹"),
        step(1, "Next place", "›"),
        ink.make("button", { type: "button", class: "step", "aria-label": "Close", text: "×", on: { click: actions.close } }),
      ),
    );
    dialog.dataset.place = key;
    if (!dialog.open) dialog.showModal();
    const again = held?.answer ? `[data-head="${held.head}"][data-answer="${held.answer}"]` : held?.step ? `[data-step="${held.step}"]` : "h2";
    dialog.querySelector(again)?.focus();
  };

  ink.showHelp = function () {
    const dialog = ink.at("help");
    const rows = [
      ["← → ↑ ↓", "move between places"],
      ["Home, End", "first and last place of the page"],
      ["Enter", "open a place with its surroundings; Esc closes it"],
      ["[ ]", "previous and next slide"],
      ...ink.facts.heads.flatMap((head) => head.answers.map((answer) => [ink.keyOf(head.name, answer.name), `${ink.words(head.name)}: ${ink.words(answer.name)}`])),
      ["Backspace", "clear the answers of a place"],
      ["n", "write a note"],
      ["z", "undo"],
      ["?", "this list"],
    ];
    const conditions = ink.facts.heads
      .filter((head) => head.condition !== null)
      .map((head) => `${ink.words(head.name)} is asked only where ${ink.words(head.condition[0])} is answered ${ink.words(head.condition[1])}.`);
    dialog.replaceChildren(
      ink.make("h2", { id: "help-title", text: "Keys" }),
      ink.make("table", {}, ink.make("tbody", {}, ...rows.map(([key, words]) => ink.make("tr", {}, ink.make("th", { scope: "row" }, ink.make("kbd", { text: key })), ink.make("td", { text: words }))))),
      ...conditions.map((text) => ink.make("p", { text })),
      ink.make("p", { text: "Answers are kept in this browser, for each reader apart. Save verdicts writes them to verdicts.csv." }),
      ink.make("button", { type: "button", class: "primary", text: "Close", on: { click: () => dialog.close() } }),
    );
    dialog.showModal();
  };
})(Inkdot);
