// Keyboard commands.
"use strict";

(function (ink) {
  const MOVES = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  const dialog = ink.at("context");

  /** Keys of the enlarged view; a verdict that has one of them comes first. */
  ink.viewKeys = {
    "+": () => ink.zoomBy(1),
    "=": () => ink.zoomBy(1),
    "-": () => ink.zoomBy(-1),
    ",": () => ink.turnView(-15),
    ".": () => ink.turnView(15),
    e: () => dialog.querySelector("[data-tool='nuclei']")?.click(),
    ...Object.fromEntries(ink.MAGNIFICATIONS.map(([digit, umPerPx]) => [digit, () => ink.magnify(umPerPx)])),
  };

  /** Cards in one row of the grid as it is drawn now. */
  function columns() {
    return getComputedStyle(ink.at("cards")).gridTemplateColumns.split(" ").length;
  }

  /** Keys that may repeat when held: they move and change nothing. A held verdict or undo would run through the slide. */
  const mayRepeat = (key) => MOVES[key] !== undefined || "+=-,.".includes(key);

  let pressed = ""; // the key of the last command, until it is released

  function onKey(can, event) {
    if (event.ctrlKey || event.metaKey || event.altKey || ink.at("help").open || ink.at("spot").open) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.repeat && key === pressed) event.preventDefault(); // still held from before the field got the focus
    if (event.target.closest("textarea, select, input[type=text]")) return;
    if (event.target.closest("input") && (key === " " || key.length > 1)) return; // sliders and boxes keep their own keys
    if (event.repeat && !mayRepeat(key)) {
      if (key === "Enter") event.preventDefault(); // it would press the focused button again and again
      return;
    }
    const run = command(can, key, event);
    if (!run) return;
    event.preventDefault();
    pressed = mayRepeat(key) ? "" : key;
    run();
  }

  function command(can, key, event) {
    if (key === "z") return can.undo;
    if (key === "?") return ink.showHelp;
    if (key === "[") return () => can.openSlide(-1);
    if (key === "]") return () => can.openSlide(1);
    if (!can.hasRegion()) return null;
    if (key === "n") return can.writeNote;
    if (key === "o" && !dialog.open) return can.enlarge;
    if (key === "Backspace" || key === "Delete") return can.clear;
    const item = ink.verdictKeys.get(key);
    if (item) return () => can.choose(item.head, item.verdict);
    if (dialog.open && ink.viewKeys[key]) return ink.viewKeys[key];
    const way = MOVES[key];
    if (way && dialog.open && event.shiftKey) return () => ink.panBy(...way);
    if (way && dialog.open) return () => can.step(way[0] + way[1]);
    if (way) return () => can.move(way[0] + way[1] * columns());
    if (key === "Home" && !dialog.open) return can.first;
    if (key === "End" && !dialog.open) return can.last;
    if (key === "Enter" && !dialog.open && !event.target.closest("button, a")) return can.open;
    return null;
  }

  /** Listen to keys; `can` holds the commands, which apply to the current region. */
  ink.listenToKeys = function (can) {
    document.addEventListener("keydown", (event) => onKey(can, event));
    document.addEventListener("keyup", () => { pressed = ""; });
  };

  /** The list of all keys. */
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
      ["1 2 4", "10×, 20×, 40× in the enlarged view"],
      ["+ −", "zoom there, as the wheel does; drag, or Shift and arrows, to move"],
      [", .", "turn it"],
      ["e", "nuclei as outlined"],
      ["o", "the whole slide, enlarged"],
      ["z", "undo"],
      ["?", "show this list"],
    ];
    const conditions = ink.facts.heads
      .filter((head) => head.condition !== null)
      .map(ink.conditionWords);
    dialog.replaceChildren(
      ink.make("h2", { id: "help-title", tabindex: "-1", text: "Keys" }),
      ink.make("table", {}, ink.make("tbody", {}, ...rows.map(([key, words]) => ink.make("tr", {}, ink.make("th", { scope: "row" }, ink.make("kbd", { text: key })), ink.make("td", { text: ink.callWords(words) }))))),
      ...conditions.map((text) => ink.make("p", { text })),
      ink.make("p", { text: "Verdicts are stored in this browser, separately for each reader. Save verdicts writes them to verdicts.csv." }),
      ink.make("button", { type: "button", class: "primary", text: "Close", on: { click: () => dialog.close() } }),
    );
    dialog.showModal();
    ink.at("help-title").focus(); // the button below would be scrolled to on a low screen
  };
})(Inkdot);
