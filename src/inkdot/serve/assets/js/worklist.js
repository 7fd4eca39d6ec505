// The list of slides by priority, with this reader's progress.
"use strict";

(function (ink) {
  const slides = ink.facts.slides;
  const CALL_CLASS = { flagged: "flagged", "nothing flagged": "nothing", inadequate: "inadequate", "not analysed": "failed" };
  const FILTERS = {
    all: () => true,
    open: (slide) => slide.reviewed < slide.regions,
    flagged: (slide) => slide.call === "flagged",
    empty: (slide) => slide.regions === 0,
  };

  function call(slide) {
    if (ink.blinded) return null;
    return ink.make("span", { class: `call ${CALL_CLASS[slide.call] || "indeterminate"}`, text: slide.call });
  }

  /** The reader's own answer for the slide. */
  function answered({ answer = {} }) {
    const words = [answer.category, answer.adequacy === "inadequate" ? "not adequate" : answer.adequacy].filter(Boolean).join(", ");
    return words === "" ? null : ink.make("span", { class: "slide-said", title: "Your answer for the slide", text: words });
  }

  function progress(slide) {
    const [done, total] = [slide.reviewed, slide.regions];
    if (total === 0) return ink.make("span", { class: "soft", text: slide.viewable ? "no regions" : "–" });
    return ink.make(
      "div",
      { class: "how-far" },
      ink.make("span", { class: "number", text: `${done} of ${total}` }),
      ink.make("span", { class: "slide-bar", "aria-hidden": "true" }, ink.make("span", { style: { width: `${(done / total) * 100}%` } })),
    );
  }

  function thumbnail(slide) {
    if (!slide.thumbnail) return ink.make("span", { class: "thumb none", "aria-hidden": "true" });
    return ink.make("img", { class: "thumb", src: slide.thumbnail, alt: "", loading: "lazy", decoding: "async" });
  }

  function ofPatient(slide) {
    const words = [slide.patient ? `patient ${slide.patient}` : "", slide.stain ?? ""].filter(Boolean).join(" · ");
    return words === "" ? null : ink.make("span", { class: "of-patient", text: words });
  }

  function remarks(slide) {
    const parts = slide.problem ? [`Problem: ${slide.problem}`, ...slide.warnings] : slide.warnings;
    const words = parts.join(" · ");
    return ink.make("span", { class: "remarks", text: words, title: words });
  }

  function row(slide, index) {
    // Roles, since on a narrow screen the rows are no table rows to a browser; and the words of the columns, which are hidden there.
    const cell = (kind, words, ...children) => ink.make("td", { class: kind, role: "cell", data: { words } }, ...children);
    const link = ink.make("a", { class: "slide-link", href: `review#${index + 1}`, text: slide.id });
    const numbers = ink.blinded
      ? []
      : [cell("the-call", "", call(slide)), cell("number", "score", ink.score(slide.score)), cell("number", "flagged regions", slide.regions ? `${slide.flagged_regions} of ${slide.regions}` : "–")];
    return ink.make(
      "tr",
      { role: "row" },
      cell("image-cell", "", thumbnail(slide)),
      ink.make("th", { scope: "row", role: "rowheader" }, link, ofPatient(slide), remarks(slide)),
      ...numbers,
      cell("progress-cell", "reviewed", progress(slide), answered(slide)),
    );
  }

  const AT_ONCE = 150; // rows drawn at once: more than a screen holds
  let painting = 0; // number of the latest list; the rest of an older one is not drawn

  /** Draw the first rows at once and the others when idle. */
  function append(rows, number) {
    if (number !== painting) return;
    ink.at("rows").append(...rows.slice(0, AT_ONCE).map(([slide, index]) => row(slide, index)));
    if (rows.length > AT_ONCE) setTimeout(() => append(rows.slice(AT_ONCE), number));
  }

  function paint() {
    const search = ink.at("search").value.trim().toLowerCase();
    const kept = FILTERS[ink.at("filter").value];
    const rows = slides.map((slide, index) => [slide, index]).filter(([slide]) => kept(slide) && slide.id.toLowerCase().includes(search));
    ink.at("rows").replaceChildren();
    painting += 1;
    append(rows, painting);
    ink.at("listed").textContent = ink.counted(rows.length, "slide", "slides");
    ink.at("nothing").hidden = rows.length > 0;
  }

  function start() {
    ink.at("who").textContent = ink.facts.served.reader;
    const regions = slides.reduce((sum, slide) => sum + slide.regions, 0);
    const done = slides.reduce((sum, slide) => sum + slide.reviewed, 0);
    ink.at("progress").textContent = `${ink.grouped(done)} of ${ink.counted(regions, "region", "regions")} reviewed`;
    if (ink.blinded) {
      for (const node of document.querySelectorAll(".not-blinded")) node.remove();
      ink.at("blinded").textContent = `Blinded reading: scores and calls are hidden, the order is shuffled (seed ${ink.facts.blinded_seed}).`;
      ink.at("blinded").hidden = false;
      ink.at("order").textContent = "in a shuffled order";
    }
    const next = slides.findIndex((slide) => slide.reviewed < slide.regions);
    const go = ink.at("next");
    go.hidden = next < 0;
    if (next >= 0) go.href = `review#${next + 1}`;
    go.textContent = done === 0 ? "Start" : "Continue";
    ink.at("search").addEventListener("input", paint);
    ink.at("filter").addEventListener("change", paint);
    ink.at("logout").addEventListener("click", async () => {
      try {
        await fetch("logout", { method: "POST", headers: { "X-Inkdot-Page": ink.facts.served.page_key } });
        location.assign("login");
      } catch {
        ink.announce("The server does not respond: close this window.");
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !event.target.closest("input, select")) {
        event.preventDefault();
        ink.at("search").focus();
      }
    });
    paint();
  }

  start();
})(Inkdot);
