// The overview of the slide, with the regions marked and linked to their cards.
"use strict";

(function (ink) {
  function mark(slide, region, actions, current) {
    const [left, top, width, height] = slide.bounds_l0_px;
    const [x0, y0, x1, y1] = region.box_l0_px;
    const style = {
      left: `${(((x0 + x1) / 2 - left) / width) * 100}%`,
      top: `${(((y0 + y1) / 2 - top) / height) * 100}%`,
    };
    const kind = ink.blinded ? "neutral" : region.flagged ? "yes" : "no";
    const words = ink.blinded ? `Region ${region.rank}` : `Region ${region.rank}, score ${ink.score(region.score)}, ${ink.flagWords(region)}`;
    return ink.make("button", {
      type: "button",
      class: `spot ${kind}${current ? " current" : ""}`,
      style,
      title: words,
      "aria-label": `Go to ${words}`,
      // The arrow keys reach the regions through the cards; thirty further tab stops would be in the way.
      tabindex: "-1",
      text: current ? String(region.rank) : "",
      data: { rank: region.rank },
      on: { click: () => actions.go(region) },
    });
  }

  function framed(slide, current, actions) {
    const { src, width, height } = slide.overview;
    const frame = ink.make("div", { class: "overview-frame", style: { "--ratio": String(width / height) } });
    frame.append(ink.image(src, `Overview of slide ${slide.id} with ${slide.regions.length} regions marked`, null, false), ink.scaleBar(slide.overview_bar));
    // Best regions last, so that they lie on top.
    for (const region of [...slide.regions].reverse()) frame.append(mark(slide, region, actions, region === current));
    return frame;
  }

  /** The overview as large as the window, each mark with its number; a mark leads to its card. */
  ink.enlargeOverview = function (slide, current, actions) {
    if (!slide.overview) return;
    const dialog = ink.at("spot");
    const leave = { ...actions, go: (region) => { dialog.close(); actions.go(region); } };
    const close = ink.make("button", { type: "button", class: "step", "aria-label": "Close", text: "×", on: { click: () => dialog.close() } });
    dialog.replaceChildren(
      ink.make("h2", { id: "spot-title", tabindex: "-1", text: slide.id }),
      framed(slide, current, leave),
      ink.make("div", { class: "context-tools" }, close),
    );
    dialog.showModal();
    ink.at("spot-title").focus();
  };

  ink.showOverview = function (slide, current, actions) {
    const box = ink.at("overview");
    box.replaceChildren();
    box.hidden = !slide.overview;
    if (!slide.overview) return;
    const legend = ink.blinded || slide.regions.length === 0
      ? null
      : ink.make(
          "p",
          { class: "legend" },
          ink.make("span", { class: "key" }, ink.make("span", { class: "spot yes sample" }), "flagged"),
          ink.make("span", { class: "key" }, ink.make("span", { class: "spot no sample" }), "shown, not flagged"),
        );
    const enlarge = ink.make("button", { type: "button", class: "enlarge", "aria-haspopup": "dialog" }, "Enlarge ", ink.make("kbd", { text: "o" }));
    box.append(ink.make("div", { class: "overview-head" }, ink.make("h2", { text: "Overview" }), enlarge), framed(slide, current, actions), ...(legend ? [legend] : []));
  };
})(Inkdot);
