// Which places are listed, in which order and on which page; and the choices above and below the cards.
"use strict";

(function (ink) {
  const given = (slide, place) => ink.answerWords(ink.placeKey(slide, place)) !== "";

  const FILTERS = {
    all: () => true,
    flagged: (slide, place) => place.flagged,
    open: (slide, place) => !given(slide, place),
    answered: given,
  };
  const SORTS = {
    rank: (slide, a, b) => a.rank - b.rank,
    position: (slide, a, b) => a.y_l0_px - b.y_l0_px || a.x_l0_px - b.x_l0_px,
    answer: (slide, a, b) => answerOrder(slide, a) - answerOrder(slide, b) || a.rank - b.rank,
  };

  function answerOrder(slide, place) {
    const head = ink.flagHead;
    const answer = head === null ? null : ink.answers.answer(ink.placeKey(slide, place), head.name);
    return answer === null ? 99 : head.answers.findIndex((other) => other.name === answer);
  }

  /** The places of a slide that a filter lets through, in order. */
  ink.listed = (slide, filter, sort) =>
    slide.places.filter((place) => FILTERS[filter](slide, place)).sort((a, b) => SORTS[sort](slide, a, b));

  /** Whether the next place follows after an answer. */
  ink.advances = () => ink.setting.read("advance") !== "no";

  function select(id, words, options, value, change) {
    const node = ink.make("select", { id, on: { change: () => change(node.value) } });
    for (const [name, text] of options) node.append(ink.make("option", { value: name, text }));
    node.value = value;
    return ink.make("label", {}, `${words} `, node);
  }

  /** Choices above the cards; `choose(name, value)` is told of a filter or a sort. */
  ink.showControls = function (slide, state, choose) {
    const box = ink.at("controls");
    box.hidden = slide.places.length === 0;
    const filters = [["all", "all places"], ...(ink.blinded ? [] : [["flagged", "flagged"]]), ["open", "not answered"], ["answered", "answered"]];
    const sorts = [["rank", ink.blinded ? "shuffled" : "score"], ["position", "position"], ["answer", "answer"]];
    const advance = ink.make("input", {
      type: "checkbox",
      on: { change: () => ink.setting.write("advance", advance.checked ? "yes" : "no") },
    });
    advance.checked = ink.advances();
    box.replaceChildren(
      select("filter", "Show", filters, state.filter, (value) => choose("filter", value)),
      select("sort", "Order", sorts, state.sort, (value) => choose("sort", value)),
      ink.make("label", { class: "check" }, advance, " next place after an answer"),
      ink.make("span", { class: "listed", text: ink.counted(state.visible.length, "place", "places") }),
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
