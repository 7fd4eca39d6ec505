// Layers over the slide: tile scores, outlines and the numbered regions, drawn on one canvas in level-0 pixels.
"use strict";

(function (ink) {
  // Vermillion and blue of Okabe and Ito, safe for colour blindness: at or above the operating point, and below it.
  const FLAGGED = "213, 94, 0";
  const BELOW = "0, 114, 178";
  const KINDS = {
    "in focus": { colour: "#111", dash: [] },
    "out of focus": { colour: "#111", dash: [5, 4] },
  };
  const ANNOTATED = { colour: "#6a3d9a", dash: [] };
  const WORDS = { regions: "Regions", scores: "Scores of tiles", clusters: "Clusters", annotations: "Annotations" };
  const loaded = new Map(); // address -> data, for the slide that is open
  const on = { regions: true, scores: false, clusters: false, annotations: false, ...kept("layers") };
  let opacity = kept("opacity").percent ?? 100;

  /** What this reader chose at an earlier visit, in this browser. */
  function kept(name) {
    try {
      return JSON.parse(ink.setting.read(`${ink.store.reader}/${name}`)) ?? {};
    } catch {
      return {};
    }
  }

  const keep = (name, value) => ink.setting.write(`${ink.store.reader}/${name}`, JSON.stringify(value));

  ink.layers = {
    words: (name) => WORDS[name],
    isOn: (name) => on[name],
    forget: () => loaded.clear(),

    /** Opacity of the scores in percent of what their legend shows. */
    opacity: () => opacity,
    setOpacity(percent) {
      opacity = percent;
      keep("opacity", { percent });
    },

    /** Show or hide one layer; resolves when its data is here. */
    async turn(view, name, shown) {
      on[name] = shown;
      keep("layers", on);
      if (shown && name !== "regions") await this.load(view, name);
    },

    async load(view, name) {
      const address = `slides/${view.slide}/layers/${name}`;
      if (loaded.has(address)) return;
      const reply = await fetch(address);
      if (!reply.ok) {
        on[name] = false;
        ink.announce(await reply.text());
        return;
      }
      loaded.set(address, await reply.json());
    },

    /** Load what is switched on, for a slide that was just opened. */
    async ready(view) {
      await Promise.all(view.layers.filter((name) => on[name]).map((name) => this.load(view, name)));
    },

    /**
     * Draw everything that is on.
     * @param context of a canvas, in CSS pixels
     * @param frame {toScreen(x, y) -> [x, y], scale: CSS pixels per level-0 pixel, seen: [left, top, right, bottom] in level-0 pixels}
     */
    draw(context, frame, slide, current) {
      const data = (name) => (on[name] ? loaded.get(`slides/${slide.view.slide}/layers/${name}`) : undefined);
      if (data("scores")) drawScores(context, frame, data("scores"));
      if (data("clusters")) drawOutlines(context, frame, data("clusters"), (kind) => KINDS[kind]);
      if (data("annotations")) drawOutlines(context, frame, data("annotations"), () => ANNOTATED, true);
      if (on.regions) drawRegions(context, frame, slide, current);
    },

    /** The region at a point of the screen, the topmost first. */
    regionAt(frame, slide, x, y) {
      if (!on.regions) return null;
      return slide.regions.find((region) => {
        const [left, top, right, bottom] = screenBox(frame, region);
        return x >= left - 4 && x <= right + 4 && y >= top - 4 && y <= bottom + 4;
      });
    },
  };

  /** Colour of a score: stronger with the distance to the operating point, always transparent enough to see the cells. */
  function tint(score, threshold) {
    if (score >= threshold) {
      const strength = threshold < 1 ? (score - threshold) / (1 - threshold) : 1;
      return `rgba(${FLAGGED}, ${(0.25 + 0.35 * strength).toFixed(3)})`;
    }
    return `rgba(${BELOW}, ${(0.04 + 0.26 * (score / threshold)).toFixed(3)})`;
  }

  function drawScores(context, frame, data) {
    const [left, top, right, bottom] = frame.seen;
    const width = Math.max(1.5 / frame.scale, data.width_l0_px);
    const height = Math.max(1.5 / frame.scale, data.height_l0_px);
    context.save();
    context.transform(...frame.matrix); // in level-0 pixels: the slide may be turned
    context.globalAlpha = opacity / 100;
    for (let index = 0; index < data.score.length; index += 1) {
      const x = data.x_l0_px[index];
      const y = data.y_l0_px[index];
      if (x > right || y > bottom || x + data.width_l0_px < left || y + data.height_l0_px < top) continue;
      context.fillStyle = tint(data.score[index], data.threshold);
      context.fillRect(x, y, width, height);
    }
    context.restore();
  }

  function drawOutlines(context, frame, data, styleOf, named) {
    data.rings.forEach((rings, index) => {
      if (!rings.some((ring) => overlaps(ring, frame.seen))) return;
      const style = styleOf(data.kind[index]);
      const path = new Path2D();
      for (const ring of rings) path.addPath(outlinePath(frame, ring));
      ink.strokeTwice(context, path, style.colour, style.dash, 2);
      if (named) ink.label(context, ink.words(data.kind[index]), ...frame.toScreen(...rings[0][0]), style.colour);
    });
  }

  function overlaps(ring, [left, top, right, bottom]) {
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const [x, y] of ring) {
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
      if (y < y0) y0 = y;
      if (y > y1) y1 = y;
    }
    return x0 <= right && x1 >= left && y0 <= bottom && y1 >= top;
  }

  /** The outline of a region in level-0 pixels. */
  function outline(region) {
    region.points ??= region.polygon.match(/-?[\d.]+ -?[\d.]+/g).map((pair) => pair.split(" ").map(Number));
    return region.points;
  }

  function outlinePath(frame, points) {
    const path = new Path2D();
    points.forEach(([x, y], number) => (number === 0 ? path.moveTo(...frame.toScreen(x, y)) : path.lineTo(...frame.toScreen(x, y))));
    path.closePath();
    return path;
  }

  function screenBox(frame, region) {
    const [x0, y0, x1, y1] = region.box_l0_px;
    const corners = [[x0, y0], [x1, y0], [x0, y1], [x1, y1]].map((corner) => frame.toScreen(...corner));
    const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    const [left, top, right, bottom] = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    const grow = Math.max(0, (12 - (right - left)) / 2); // at low zoom a region is still a dot that can be clicked
    return [left - grow, top - grow, right + grow, bottom + grow];
  }

  function drawRegions(context, frame, slide, current) {
    // Best regions last, so that they lie on top; the open one above all.
    const ordered = [...slide.regions].reverse().filter((region) => region !== current);
    if (current) ordered.push(current);
    for (const region of ordered) {
      const [left, top, right, bottom] = screenBox(frame, region);
      const small = right - left <= 20;
      const path = small ? new Path2D() : outlinePath(frame, outline(region));
      if (small) path.arc((left + right) / 2, (top + bottom) / 2, 8, 0, 2 * Math.PI);
      const colour = ink.blinded ? "#111" : region.flagged ? `rgb(${FLAGGED})` : `rgb(${BELOW})`;
      ink.strokeTwice(context, path, colour, small || region.flagged || ink.blinded ? [] : [6, 3], region === current ? 3 : 1.5);
      if (region === current || right - left > 26) ink.label(context, String(region.rank), left, top, region === current ? "#111" : colour);
    }
  }
})(Inkdot);
