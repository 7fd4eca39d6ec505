// A ruler for a zoomed view: lines that a reader draws, with their lengths in µm; and how lines and words are drawn over pixels.
"use strict";

(function (ink) {
  /** Lines that a reader draws, with their lengths; kept while the same image is open. */
  ink.ruler = function (seadragon, view) {
    let lines = []; // [x0, y0, x1, y1] in pixels of the image
    let line = null;
    let key = null;

    seadragon.addHandler("canvas-press", (event) => {
      if (!ink.viewTools.measuring || !view.ready) return;
      const start = view.frame().toImage(event.position.x, event.position.y);
      line = [...start, ...start];
    });
    seadragon.addHandler("canvas-drag", (event) => {
      if (!line) return;
      event.preventDefaultAction = true;
      line.splice(2, 2, ...view.frame().toImage(event.position.x, event.position.y));
      view.redraw();
    });
    seadragon.addHandler("canvas-drag-end", (event) => {
      if (!line) return;
      event.preventDefaultAction = true; // no fling
      lines.push(line);
      line = null;
      ink.announce(`${words(lines.at(-1), view.frame().mpp)} measured.`);
      view.redraw();
    });
    seadragon.addHandler("canvas-release", () => setTimeout(() => { line = null; }));

    function words([x0, y0, x1, y1], mpp) {
      const um = Math.hypot((x1 - x0) * mpp[0], (y1 - y0) * mpp[1]);
      return um >= 1000 ? `${(um / 1000).toFixed(2)} mm` : `${um.toFixed(1)} µm`;
    }

    return {
      /** Forget the lines where another image is open, or in any case for null. */
      forget(next) {
        if (next === null || next !== key) lines = [];
        key = next ?? key;
      },

      draw(context, frame) {
        for (const [x0, y0, x1, y1] of line ? [...lines, line] : lines) {
          const [from, to] = [frame.toScreen(x0, y0), frame.toScreen(x1, y1)];
          const along = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
          const [nx, ny] = [(-(to[1] - from[1]) / along) * 6, ((to[0] - from[0]) / along) * 6];
          const path = new Path2D();
          for (const [x, y] of [from, to]) {
            path.moveTo(x - nx, y - ny);
            path.lineTo(x + nx, y + ny);
          }
          path.moveTo(...from);
          path.lineTo(...to);
          ink.strokeTwice(context, path, "#111", [], 2);
          ink.label(context, words([x0, y0, x1, y1], frame.mpp), to[0] + 8, to[1] - 4, "#111");
        }
      },
    };
  };

  /** A line that is seen on dark nuclei and on bright glass: white below, the colour on top. */
  ink.strokeTwice = function (context, path, colour, dash, width) {
    context.setLineDash([]);
    context.lineWidth = width + 2;
    context.strokeStyle = "rgba(255, 255, 255, .85)";
    context.stroke(path);
    context.setLineDash(dash);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke(path);
    context.setLineDash([]);
  };

  /** White words on a coloured ground, their lower left corner at x, y. */
  ink.label = function (context, words, x, y, colour) {
    context.font = "600 12px system-ui, 'DejaVu Sans', sans-serif";
    const width = context.measureText(words).width + 8;
    context.fillStyle = colour;
    context.fillRect(x - 1, y - 18, width, 17);
    context.fillStyle = "#fff";
    context.textBaseline = "middle";
    context.fillText(words, x + 3, y - 9);
  };
})(Inkdot);
