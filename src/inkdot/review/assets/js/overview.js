// The whole slide in small, with the places marked and linked to their cards.
"use strict";

(function (ink) {
  function mark(slide, place, actions, current) {
    const [left, top, width, height] = slide.bounds_l0_px;
    const [x0, y0, x1, y1] = place.box_l0_px;
    const style = {
      left: `${(((x0 + x1) / 2 - left) / width) * 100}%`,
      top: `${(((y0 + y1) / 2 - top) / height) * 100}%`,
    };
    const kind = ink.blinded ? "neutral" : place.flagged ? "yes" : "no";
    const words = ink.blinded ? `Place ${place.rank}` : `Place ${place.rank}, score ${ink.score(place.score)}, ${ink.flagWords(place)}`;
    return ink.make("button", {
      type: "button",
      class: `spot ${kind}${current ? " current" : ""}`,
      style,
      title: words,
      "aria-label": `Go to ${words}`,
      // Reached by arrow keys through the cards; thirty further stops for the tab key would only be in the way.
      tabindex: "-1",
      text: current ? String(place.rank) : "",
      data: { rank: place.rank },
      on: { click: () => actions.go(place) },
    });
  }

  ink.showOverview = function (slide, current, actions) {
    const box = ink.at("overview");
    box.replaceChildren();
    box.hidden = !slide.overview;
    if (!slide.overview) return;
    const { src, width, height } = slide.overview;
    const frame = ink.make("div", { class: "overview-frame", style: { "--ratio": String(width / height) } });
    frame.append(ink.picture(src, `Overview of slide ${slide.id} with ${slide.places.length} places marked`, slide.overview_bar, false));
    // Best places last, so that they lie on top.
    for (const place of [...slide.places].reverse()) frame.append(mark(slide, place, actions, place === current));
    const legend = ink.blinded
      ? null
      : ink.make(
          "p",
          { class: "legend" },
          ink.make("span", { class: "spot yes sample" }),
          "flagged",
          ink.make("span", { class: "spot no sample" }),
          "shown, below operating point",
        );
    box.append(ink.make("h2", { text: "Where they lie" }), frame, ...(legend ? [legend] : []));
  };
})(Inkdot);
