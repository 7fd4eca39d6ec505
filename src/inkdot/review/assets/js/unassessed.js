// A slide on which nothing could be judged: what lies on it instead, what can be done, and the whole slide to look at.
"use strict";

(function (ink) {
  const plain = ink.showHead;

  const percent = (share) => (share >= 0.01 ? `${Math.round(share * 100)} %` : "less than 1 %");
  const mm2 = (area) => `${area >= 1 ? area.toFixed(1) : area.toFixed(2)} mm²`;

  function areaTable(areas) {
    const rows = areas.map(({ words, mm2: area, share }) =>
      ink.make(
        "tr",
        {},
        ink.make("th", { scope: "row", text: words }),
        ink.make("td", { class: "area-bar", "aria-hidden": "true" }, ink.make("span", { style: { width: `${Math.max(share * 100, 0.5)}%` } })),
        ink.make("td", { text: percent(share) }),
        ink.make("td", { text: mm2(area) }),
      ),
    );
    return ink.make("table", { class: "areas" }, ink.make("caption", { text: "What lies on the slide" }), ink.make("tbody", {}, ...rows));
  }

  ink.showHead = function (slide) {
    plain(slide);
    if (slide.regions.length > 0 && slide.call !== "inadequate") return;
    const enlarge = slide.overview
      ? ink.make("button", { type: "button", class: "look-at-slide", "aria-haspopup": "dialog", on: { click: () => ink.enlargeOverview(slide, null, {}) } }, "Look at the whole slide ", ink.make("kbd", { text: "o", "aria-hidden": "true" }))
      : null;
    const known = slide.unassessed;
    const advice = known ? ink.make("ul", { class: "advice" }, ...known.advice.map((text) => ink.make("li", { text }))) : null;
    const parts = [known ? areaTable(known.areas) : null, advice ? ink.make("div", {}, ink.make("h2", { text: "What you can do" }), advice, enlarge) : enlarge].filter(Boolean);
    if (parts.length > 0) ink.at("slide-head").append(ink.make("section", { class: "unassessed", "aria-label": "Why nothing could be judged" }, ...parts));
    if (known) ink.at("slide-head").querySelector(".look")?.remove(); // the list says it
  };

  // Without a region the other keys do nothing, but the whole slide can be looked at.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "o" || event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
    if (event.target.closest("textarea, select, input") || document.querySelector("dialog[open]")) return;
    const slide = ink.facts.slides[Number(ink.at("slide-answer").dataset.slide)];
    if (slide && slide.regions.length === 0 && slide.overview) ink.enlargeOverview(slide, null, {});
  });
})(Inkdot);
