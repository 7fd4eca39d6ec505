// Images with a scale bar. A bar's length is a fraction of the image's width, so it is right at every size.
"use strict";

(function (ink) {
  const ROUND_UM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];

  /** The longest round bar that takes at most a third of a field (inkdot.review.fields has the same rule). */
  ink.roundBar = function (fieldUm) {
    const length = ROUND_UM.filter((um) => um <= fieldUm / 3).at(-1) ?? ROUND_UM[0];
    return { length_um: length, fraction: length / fieldUm };
  };

  ink.scaleBar = function (bar) {
    return ink.make(
      "span",
      { class: "scale", data: { um: bar.length_um } },
      ink.make("span", { class: "scale-words", text: ink.length(bar.length_um) }),
      ink.make("span", { class: "scale-line", style: { width: `${bar.fraction * 100}cqw` } }), // of the image's width
    );
  };

  /** An image that fills its box exactly, with its scale bar unless that is drawn elsewhere; without a file it says "no image". */
  ink.image = function (source, alternative, bar, lazy) {
    const box = ink.make("span", { class: "image" });
    if (source) {
      box.append(ink.make("img", { src: source, alt: alternative, loading: lazy ? "lazy" : null, decoding: "async", draggable: "false" }));
      if (bar) box.append(ink.scaleBar(bar));
    } else {
      box.append(ink.make("span", { class: "no-image", text: "no image" }));
    }
    if (ink.facts.synthetic_model) box.append(ink.make("span", { class: "stamp", text: "synthetic model" }));
    return box;
  };

  const LEAST_RADIUS = 0.02; // of the image's side: a single cell in a large group would be a dot

  /** The ring, or a circle round it where it is too small to be seen. */
  ink.visibleRing = function (ring) {
    const [x, y] = [0, 1].map((axis) => ring.map((point) => point[axis]));
    const middle = (values) => (Math.min(...values) + Math.max(...values)) / 2;
    const extent = (values) => Math.max(...values) - Math.min(...values);
    if (Math.max(extent(x), extent(y)) >= 2 * LEAST_RADIUS) return ring;
    return Array.from({ length: 24 }, (_, index) => (index * Math.PI) / 12).map((angle) => [middle(x) + LEAST_RADIUS * Math.cos(angle), middle(y) + LEAST_RADIUS * Math.sin(angle)]);
  };
})(Inkdot);
