// The case beside the slide: values with their ranges, what they cannot exclude, and where that stands.
// All of it comes from a table of the user and becomes text nodes.
"use strict";

(function (ink) {
  const open = { case: true, notes: false }; // as the reader left them, for the next slide

  function folding(name, set, ...children) {
    const details = ink.make("details", { ...set, open: open[name] }, ...children);
    details.addEventListener("toggle", () => { open[name] = details.open; });
    return details;
  }

  function value(item) {
    const text = ink.make("dd", {}, ink.make("span", { class: "case-value", text: item.value }));
    if (item.range !== "") text.append(ink.make("span", { class: "case-range", text: `range ${item.range}` }));
    if (item.warning) text.append(ink.make("span", { class: "case-mark", text: "see note" }));
    return ink.make("div", { class: "case-row" }, ink.make("dt", { text: item.label }), text);
  }

  function note(item) {
    const line = ink.make("li", { class: item.warning ? "case-warning" : null });
    line.append(ink.make("span", { class: "case-value", text: `${item.label} ${item.value}` }));
    if (item.note !== "") line.append(`: ${item.note}`);
    if (item.source !== "") line.append(" ", ink.make("cite", { text: item.source }));
    return line;
  }

  /** The panel of a slide; null where the review has none. */
  ink.casePanel = function (slide) {
    const rows = slide.case ?? [];
    if (rows.length === 0) return null;
    const warned = rows.filter((item) => item.warning);
    const others = rows.filter((item) => !item.warning && (item.note !== "" || item.source !== ""));
    const summary = ink.make("summary", {}, "Case");
    if (warned.length > 0) summary.append(ink.make("span", { class: "case-count", text: ink.counted(warned.length, "value to note", "values to note") }));
    const panel = folding("case", { class: "case" }, summary, ink.make("dl", {}, ...rows.map(value)));
    if (warned.length > 0) panel.append(ink.make("ul", { class: "case-notes", "aria-label": "Values to note" }, ...warned.map(note)));
    if (others.length > 0) {
      const title = ink.make("summary", { text: "What the other values cannot exclude, and sources" });
      panel.append(folding("notes", { class: "case-further" }, title, ink.make("ul", { class: "case-notes" }, ...others.map(note))));
    }
    return panel;
  };

  const showHead = ink.showHead;
  ink.showHead = function (slide) {
    showHead(slide);
    const panel = ink.casePanel(slide);
    if (panel !== null) ink.at("slide-head").append(panel);
  };
})(Inkdot);
