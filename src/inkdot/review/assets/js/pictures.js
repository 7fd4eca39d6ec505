// Pictures with a scale bar. A bar's length is a fraction of the picture's width, so it is right at every size.
"use strict";

(function (ink) {
  ink.scaleBar = function (bar) {
    return ink.make(
      "span",
      { class: "scale", style: { width: `${bar.fraction * 100}%` }, data: { um: bar.length_um } },
      ink.make("span", { class: "scale-words", text: ink.length(bar.length_um) }),
      ink.make("span", { class: "scale-line" }),
    );
  };

  /** A picture that fills its box exactly; without a file it says so instead of showing nothing. */
  ink.picture = function (source, alternative, bar, lazy) {
    const box = ink.make("span", { class: "picture" });
    if (source) {
      box.append(ink.make("img", { src: source, alt: alternative, loading: lazy ? "lazy" : null, decoding: "async", draggable: "false" }));
      box.append(ink.scaleBar(bar));
    } else {
      box.append(ink.make("span", { class: "no-picture", text: "no picture" }));
    }
    if (ink.facts.synthetic_model) box.append(ink.make("span", { class: "stamp", text: "synthetic model" }));
    return box;
  };

  /** Outline of the tile in the middle of its surroundings. */
  ink.outline = function (factor) {
    const side = 100 / factor;
    const start = (100 - side) / 2;
    const style = { left: `${start}%`, top: `${start}%`, width: `${side}%`, height: `${side}%` };
    return ink.make("span", { class: "outline", style, "aria-hidden": "true" });
  };
})(Inkdot);
