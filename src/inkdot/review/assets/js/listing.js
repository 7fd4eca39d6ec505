// Which regions are listed, in which order and on which page; and the choices above and below the cards.
"use strict";

(function (ink) {
  const isReviewed = (slide, region) => ink.verdictWords(ink.regionKey(slide, region)) !== "";

  const FILTERS = {
    all: () => true,
    flagged: (slide, region) => region.flagged,
    open: (slide, region) => !isReviewed(slide, region),
    reviewed: isReviewed,
  };
  const SORTS = {
    rank: (slide, a, b) => a.rank - b.rank,
    position: (slide, a, b) => a.y_l0_px - b.y_l0_px || a.x_l0_px - b.x_l0_px,
    verdict: (slide, a, b) => verdictOrder(slide, a) - verdictOrder(slide, b) || a.rank - b.rank,
  };

  function verdictOrder(slide, region) {
    const head = ink.flagHead;
    if (ink.verdicts.verdict(ink.regionKey(slide, region), ink.finder.name) !== null) return 98;
    const verdict = head === null ? null : ink.verdicts.verdict(ink.regionKey(slide, region), head.name);
    return verdict === null ? 99 : head.verdicts.findIndex((other) => other.name === verdict);
  }

  /** The regions of a slide that pass a filter, in order. */
  ink.listed = (slide, filter, sort) =>
    slide.regions.filter((region) => FILTERS[filter](slide, region)).sort((a, b) => SORTS[sort](slide, a, b));

  /** Whether the page moves to the next region after a verdict. */
  ink.advances = () => ink.setting.read("advance") !== "no";

  function select(id, words, options, value, change) {
    const node = ink.make("select", { id, on: { change: () => change(node.value) } });
    for (const [name, text] of options) node.append(ink.make("option", { value: name, text }));
    node.value = value;
    return ink.make("label", {}, `${words} `, node);
  }

  /** Choices above the cards; `choose(name, value)` is called with a new filter or sort. */
  ink.showControls = function (slide, state, choose) {
    const box = ink.at("controls");
    box.hidden = slide.regions.length === 0;
    const filters = [["all", "all regions"], ...(ink.blinded ? [] : [["flagged", "flagged"]]), ["open", "not reviewed"], ["reviewed", "reviewed"]];
    const sorts = [["rank", ink.blinded ? "shuffled" : "score"], ["position", "position"], ["verdict", "verdict"]];
    const advance = ink.make("input", {
      type: "checkbox",
      on: { change: () => ink.setting.write("advance", advance.checked ? "yes" : "no") },
    });
    advance.checked = ink.advances();
    box.replaceChildren(
      select("filter", "Show", filters, state.filter, (value) => choose("filter", value)),
      select("sort", "Order", sorts, state.sort, (value) => choose("sort", value)),
      ink.make("label", { class: "check" }, advance, " next region after a verdict"),
      ink.make("span", { class: "listed", text: ink.counted(state.visible.length, "region", "regions") }),
    );
  };

  /** Buttons of the pages below the cards, where there are several. */
  ink.showPages = function (state, turn) {
    const pages = Math.ceil(state.visible.length / ink.pageSize);
    const nav = ink.at("pages");
    nav.hidden = pages < 2;
    const range = (index) => {
      const [first, last] = [index * ink.pageSize + 1, Math.min((index + 1) * ink.pageSize, state.visible.length)];
      return first === last ? `${first}` : `${first}–${last}`;
    };
    const buttons = Array.from({ length: pages }, (_, index) =>
      ink.make("button", {
        type: "button",
        text: range(index),
        "aria-current": index === state.page ? "page" : null,
        on: { click: () => turn(index) },
      }),
    );
    nav.replaceChildren(...buttons);
  };
})(Inkdot);
