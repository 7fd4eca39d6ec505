// "Mark something missed" in the slide viewer: a click or a drawn outline in the pixels of the slide itself.
"use strict";

(function (ink) {
  const LEAST_DRAG_PX = 6; // below that it was a click
  const CLICK_PER_TILE = 0.5; // a click here is exact: the circle is half a tile wide, a small cluster
  const COLOUR = "#6a3d9a";
  const FRESH = "#d81b60";
  const dialog = ink.at("context");
  const below = matchMedia("(max-width: 1000px) and (orientation: portrait)");
  let marking = null; // the slide that is marked on
  let chosen = null; // the mark that is asked about
  let path = []; // points of the outline being drawn, in pixels of the viewer

  const layer = ink.make("div", { class: "marking-layer" });
  const question = ink.make("div", { class: "missed-question", hidden: true });
  const bar = ink.make(
    "div",
    { class: "marking-bar", role: "group", "aria-label": "Mark something missed" },
    ink.make("p", {}, ink.make("strong", { text: "Mark something missed: " }), ink.make("span", { text: matchMedia("(hover: none)").matches ? "touch a cell or group, or draw around it. The buttons zoom." : "click a cell or group, or draw around it. Wheel: zoom. Right button: move." })),
    question,
    ink.make("button", { type: "button", class: "marking-done", on: { click: stop } }, "Done ", ink.make("kbd", { text: "Esc", "aria-hidden": "true" })),
  );

  /** On the image; below it where the buttons of the dialog lie on the image. Stepping to another region makes a new stage. */
  function placeBar() {
    const box = ink.seadragon.element.parentElement;
    const home = below.matches ? box.closest(".stage") : box;
    if (bar.parentElement !== home) home.append(bar);
  }

  const viewport = () => ink.seadragon.viewport;
  const item = () => ink.seadragon?.world.getItemAt(0);
  const redraw = () => ink.seadragon?.forceRedraw();

  function toLevel0([x, y]) {
    const point = item().viewportToImageCoordinates(viewport().pointFromPixel(new OpenSeadragon.Point(x, y), true));
    return [point.x, point.y];
  }

  const at = (event) => {
    const area = layer.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  };

  layer.addEventListener("contextmenu", (event) => event.preventDefault());
  layer.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    layer.setPointerCapture(event.pointerId);
    path = event.button === 0 && item() ? [at(event)] : [];
  });
  layer.addEventListener("pointermove", (event) => {
    if (!layer.hasPointerCapture(event.pointerId)) return;
    if (path.length > 0) {
      path.push(at(event));
      redraw();
    } else {
      viewport().panBy(viewport().deltaPointsFromPixels(new OpenSeadragon.Point(-event.movementX, -event.movementY)), true);
    }
  });
  layer.addEventListener("pointercancel", () => { path = []; redraw(); });
  layer.addEventListener("pointerup", () => {
    if (path.length === 0) return;
    const points = path;
    path = [];
    const spread = (axis) => Math.max(...points.map((point) => point[axis])) - Math.min(...points.map((point) => point[axis]));
    const polygon = Math.max(spread(0), spread(1)) < LEAST_DRAG_PX
      ? ink.circleAt(marking, ...toLevel0(points[0]), marking.side_um * CLICK_PER_TILE)
      : ink.outlineOf(points.map(toLevel0));
    if (polygon) ask({ polygon, verdict: "", note: "" });
  });
  layer.addEventListener("wheel", (event) => {
    event.preventDefault();
    const point = viewport().pointFromPixel(new OpenSeadragon.Point(...at(event)), true);
    viewport().zoomBy(event.deltaY < 0 ? 1.3 : 1 / 1.3, point);
    viewport().applyConstraints();
  }, { passive: false });

  function ask(mark) {
    chosen = mark;
    ink.askWhatIsMissed(question, marking, mark, () => {
      chosen = null;
      question.hidden = true;
      layer.focus?.();
      redraw();
    });
    redraw();
  }

  function start(slide, mark) {
    if (marking !== slide) {
      marking = slide;
      ink.seadragon.element.parentElement.append(layer);
      placeBar();
      question.hidden = true;
      chosen = null;
    }
    if (mark) {
      const [x, y] = ink.middleOfOutline(mark.polygon);
      const side = (slide.side_um * 6) / slide.mpp[0];
      viewport().fitBounds(item().imageToViewportRectangle(x - side / 2, y - side / 2, side, side));
      ask(mark);
    }
    redraw();
  }

  function stop() {
    marking = chosen = null;
    path = [];
    layer.remove();
    bar.remove();
    redraw();
  }

  ink.canMark = (slide) => Boolean(slide.view);

  /** Open the viewer where it is not open, and mark on it; a zoomed view stays as it is. */
  ink.startMarking = function (slide, mark) {
    if (!slide.view) return;
    if (!dialog.open) ink.enlargeOverview(slide, null, {});
    const until = Date.now() + 20_000;
    const wait = () => {
      if (!dialog.open || Date.now() > until) return;
      if (item()?.source.width === slide.view.width) start(slide, mark);
      else setTimeout(wait, 50);
    };
    wait();
  };

  // Keys while marking: what would answer the region behind is kept from it.
  window.addEventListener("keydown", (event) => {
    if (!marking || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (chosen) {
        chosen = null;
        question.hidden = true;
        redraw();
      } else stop();
      return;
    }
    if (event.target.closest?.("input, textarea")) return;
    const answer = event.key.length === 1 && !question.hidden ? question.querySelector(`[data-digit="${CSS.escape(event.key)}"]`) : null;
    if (answer && !event.repeat) answer.click();
    if (answer || (/^[a-z0-9]$/i.test(event.key) && event.key.toLowerCase() !== "z")) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  const answers = ink.showSlideAnswer;
  ink.showSlideAnswer = function (slide) {
    if (marking && marking !== slide) stop();
    answers(slide);
    redraw();
  };

  const hide = ink.hideContext;
  ink.hideContext = function () {
    stop();
    hide();
  };

  // --- Marks over the slide -----------------------------------------------------------------------------------------

  const draw = ink.layers.draw;
  ink.layers.draw = function (context, frame, slide, current) {
    draw.call(ink.layers, context, frame, slide, current);
    if (marking) placeBar();
    ink.marksOf(slide).forEach((mark, index) => stroke(context, ink.cornersOf(mark.polygon).map(([x, y]) => frame.toScreen(x, y)), COLOUR, `missed ${index + 1}`));
    if (chosen && marking === slide) stroke(context, ink.cornersOf(chosen.polygon).map(([x, y]) => frame.toScreen(x, y)), FRESH, "");
    if (path.length > 1) stroke(context, path, FRESH, "");
  };

  /** A closed line on a white one; a mark that would be a dot is a diamond. */
  function stroke(context, points, colour, words) {
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const ring = words !== "" && right - left < 12 ? [[x, y - 8], [x + 8, y], [x, y + 8], [x - 8, y]] : points;
    const line = new Path2D();
    ring.forEach((point, index) => (index === 0 ? line.moveTo(...point) : line.lineTo(...point)));
    line.closePath();
    context.setLineDash([]);
    for (const [width, ink_] of [[4.5, "rgba(255, 255, 255, .9)"], [2.2, colour]]) {
      context.lineWidth = width;
      context.strokeStyle = ink_;
      context.stroke(line);
    }
    if (words === "" || right - left < 12) return;
    context.font = "600 12px system-ui, 'DejaVu Sans', sans-serif";
    context.fillStyle = colour;
    context.fillRect(left - 1, bottom + 3, context.measureText(words).width + 8, 17);
    context.fillStyle = "#fff";
    context.textBaseline = "middle";
    context.fillText(words, left + 3, bottom + 12);
  }
})(Inkdot);
