// The list of slides and the header of the open slide.
"use strict";

(function (ink) {
  const CALL_CLASS = { flagged: "flagged", "nothing flagged": "nothing", inadequate: "inadequate", "not analysed": "failed" };

  ink.reviewed = (slide) =>
    slide.regions.filter((region) => ink.verdictWords(ink.regionKey(slide, region)) !== "").length;

  const callClass = (call) => CALL_CLASS[call] || "indeterminate";

  // Counted once, then per slide: with thousands of slides one verdict must not recount all of them.
  const done = new Map(); // slide -> regions reviewed
  let slideOfRegion = null; // key of a region -> slide

  /** The slide that a region lies on, by the region's key. */
  ink.slideOf = function (key) {
    slideOfRegion ??= new Map(ink.facts.slides.flatMap((slide) => slide.regions.map((region) => [ink.regionKey(slide, region), slide])));
    return slideOfRegion.get(key);
  };

  /** Recount the slide of a region, or all slides where the key is null. */
  ink.countReviewed = function (key) {
    const changed = key === null ? ink.facts.slides : [ink.slideOf(key)].filter(Boolean);
    for (const slide of changed) done.set(slide, ink.reviewed(slide));
  };

  function slideFacts(slide) {
    const total = slide.regions.length;
    const facts = [];
    if (!ink.blinded) {
      facts.push(ink.make("span", { class: `call ${callClass(slide.call)}`, text: slide.call }));
      if (slide.score !== null) facts.push(ink.make("span", { class: "number", text: ink.score(slide.score) }));
    }
    if (total > 0) facts.push(ink.make("span", { class: "done" }));
    return facts;
  }

  const items = new Map(); // slide -> its button and progress

  /** A name that may break after - _ . in a narrow list, before it breaks anywhere. */
  const breakable = (name) => name.split(/(?<=[-_.])/).flatMap((part, index) => (index === 0 ? [part] : [ink.make("wbr"), part]));

  function slideItem(slide, index, choose) {
    const bar = slide.regions.length > 0 ? ink.make("span", { class: "slide-bar", "aria-hidden": "true" }, ink.make("span", {})) : null;
    const button = ink.make(
      "button",
      { type: "button", title: slide.id, on: { click: () => choose(index) } },
      ink.make("span", { class: "slide-name" }, ...breakable(slide.id)),
      ink.make("span", { class: "slide-facts" }, ...slideFacts(slide)),
      bar,
    );
    items.set(slide, { button, words: button.querySelector(".done"), bar: bar?.firstChild, shown: -1 });
    return ink.make("li", {}, button);
  }

  ink.showSlides = function (openIndex, choose) {
    if (items.size === 0) {
      ink.countReviewed(null);
      ink.at("slides").replaceChildren(...ink.facts.slides.map((slide, index) => slideItem(slide, index, choose)));
    }
    ink.at("slides").querySelector("[aria-current]")?.removeAttribute("aria-current");
    items.get(ink.facts.slides[openIndex])?.button.setAttribute("aria-current", "true");
    for (const [slide, item] of items) {
      const [count, total] = [done.get(slide), slide.regions.length];
      if (total === 0 || item.shown === count) continue;
      item.shown = count;
      item.words.textContent = `${count}/${total}`;
      item.words.title = `${count} of ${total} regions reviewed`;
      item.bar.style.setProperty("width", `${(count / total) * 100}%`);
    }
  };

  ink.showProgress = function () {
    if (done.size === 0) ink.countReviewed(null);
    const total = ink.facts.slides.reduce((sum, slide) => sum + slide.regions.length, 0);
    const reviewed = [...done.values()].reduce((sum, count) => sum + count, 0);
    ink.at("progress").textContent = `${ink.grouped(reviewed)} of ${ink.counted(total, "region", "regions")} reviewed`;
    const unsaved = ink.verdicts.unsaved();
    ink.at("save").classList.toggle("unsaved", unsaved);
    ink.at("save").title = unsaved ? "Some verdicts are not in a saved verdicts.csv yet" : "";
    ink.at("undo").disabled = !ink.verdicts.canUndo();
  };

  /** How the score of the slide depends on the number of its clusters; nothing where it does not. */
  function countRule(slide) {
    if (!slide.count_rule) return "";
    const { count, reference } = slide.count_rule;
    const [one, many] = slide.unit === "cluster" ? ["cluster", "clusters"] : ["tile", "tiles"];
    return ` The slide's score is what its highest ${one} counts for on a slide of ${ink.counted(reference, one, many)}; this one has ${ink.grouped(count)}.`;
  }

  function counts(slide) {
    if (ink.blinded || slide.tiles === undefined) return "";
    const shown = slide.regions.length;
    const flagged = slide.regions.filter((region) => region.flagged).length;
    if (slide.tiles === 0) return "No tile with cells was found.";
    const byCluster = slide.unit === "cluster" && slide.units !== null;
    const [count, of] = byCluster
      ? [slide.flagged_units, ink.counted(slide.units, "cluster or cell", "clusters and cells")]
      : [slide.flagged_tiles, ink.counted(slide.tiles, "tile", "tiles")];
    const tiles = `${ink.grouped(count)} of ${of} at or above the operating point (${ink.score(slide.threshold)}${slide.count_rule ? " on a slide of so many" : ""}).${countRule(slide)}`;
    const regions =
      flagged === 0
        ? `Nothing is flagged; the ${ink.counted(shown, "highest-scored region is", "highest-scored regions are")} shown for review.`
        : `${ink.counted(shown, "region", "regions")} shown, ${ink.grouped(flagged)} flagged${slide.unit === "region" ? " (touching tiles make one region)" : ""}.`;
    const beside = slide.regions.reduce((sum, region) => sum + (region.cluster?.flagged_others ?? 0), 0);
    const others = beside === 0 ? "" : ` ${ink.counted(beside, "more flagged cluster lies", "more flagged clusters lie")} in the image of another and ${beside === 1 ? "is" : "are"} outlined there.`;
    const more = slide.more_flagged ? ` More flagged regions exist than are shown; ${slide.geojson ? "the file for QuPath lists them" : "the layers of the slide show them"}.` : "";
    const left = slide.geojson_left_out > 0 ? ` The file for QuPath leaves out ${ink.counted(slide.geojson_left_out, "flagged tile", "flagged tiles")}.` : "";
    return `${tiles} ${regions}${others}${more}${left}`;
  }

  function technical(slide) {
    if (!slide.mpp) return "";
    const [x, y] = slide.mpp;
    const scale = Math.abs(x - y) < 1e-9 ? `${+x.toFixed(4)} µm/px` : `${+x.toFixed(4)} × ${+y.toFixed(4)} µm/px`;
    const [width, height] = slide.size_l0_px;
    const parts = [
      `${scale} (from the ${slide.mpp_source === "manifest" ? "slide list" : "file"})`,
      `${ink.grouped(width)} × ${ink.grouped(height)} px`,
    ];
    if (slide.unit) parts.push(`tiles ${+slide.side_um.toFixed(2)} µm wide`); // none were cut on a slide without scores
    if (slide.geojson) parts.push(`for QuPath: ${slide.geojson}`);
    return parts.join(" · ");
  }

  /** The lymphocyte reference, and how many regions were measured. */
  function nuclei(slide) {
    if (ink.blinded || !slide.lymphocyte_reference) return "";
    // Without a reference a warning says so already.
    const reference = slide.lymphocyte_reference.reason ? "" : `${ink.referenceText(slide)} `;
    return `${reference}Nuclei of ${ink.counted(slide.measured_clusters, "region", "regions")} were measured.`;
  }

  /** What the further heads say of all flagged regions, such as "Morphology of the flagged regions together: small-cell-like." */
  function further(slide) {
    if (ink.blinded || !slide.further_calls) return "";
    const parts = slide.further_calls.split(/[;,] /).map((part) => part.split(": "));
    return parts.map(([head, call]) => `${ink.sentence(ink.words(head))} of the flagged regions together: ${ink.callWords(call ?? "")}.`).join(" ");
  }

  const SHOWN_WARNINGS = 2; // the others are folded: the regions must stay in sight

  /** The warnings about a slide: the first in full, the others behind their number; all on paper. */
  function warnings(texts) {
    const list = (part, words) => ink.make("ul", { "aria-label": words }, ...part.map((text) => ink.make("li", { text: ink.sentence(text) })));
    const more = texts.slice(SHOWN_WARNINGS);
    return ink.make(
      "div",
      { class: "warnings" },
      list(texts.slice(0, SHOWN_WARNINGS), "Warnings"),
      more.length === 0 ? null : ink.make("details", {}, ink.make("summary", { text: ink.counted(more.length, "more warning", "more warnings") }), list(more, "More warnings")),
    );
  }

  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("#slide-head details")) folded.open = true;
  });

  /** Advice for a slide without regions, or with too little material. */
  function lookYourself(slide) {
    if (slide.regions.length > 0 && slide.call !== "inadequate") return "";
    if (slide.problem && slide.call !== "inadequate") return "This slide has no score. Examine the glass slide or the full image.";
    return "Too little material was found: the slide is inadequate, not negative. Examine the glass slide or the full image.";
  }

  ink.showHead = function (slide) {
    const title = ink.make("div", { class: "title" }, ink.make("h1", { text: slide.id }));
    if (!ink.blinded) {
      title.append(ink.make("span", { class: `call big ${callClass(slide.call)}`, text: slide.call }));
      if (slide.score !== null) title.append(ink.make("span", { class: "slide-score", text: `score ${ink.score(slide.score)}` }));
    }
    const head = ink.at("slide-head");
    head.replaceChildren(title);
    const summary = [counts(slide), further(slide), nuclei(slide)].filter((text) => text !== "").join(" ");
    for (const [kind, text] of [["counts", summary], ["technical", technical(slide)]]) {
      if (text !== "") head.append(ink.make("p", { class: kind, text }));
    }
    if (slide.problem) head.append(ink.make("p", { class: "problem", role: "note", text: `Problem: ${slide.problem}` }));
    if (slide.warnings.length > 0) head.append(warnings(slide.warnings));
    const look = lookYourself(slide);
    if (look !== "") head.append(ink.make("p", { class: "look", text: look }));
  };
})(Inkdot);
