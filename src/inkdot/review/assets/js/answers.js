// Answers about a slide as a whole, and regions that the reader marked because nothing was shown there.
// They are entries like those of regions (verdict_state.js), so that storing, undo and loading are the same.
"use strict";

(function (ink) {
  ink.ADEQUACY = "adequacy";
  ink.CATEGORY = "category";
  ink.MISSED = "missed";

  const slideById = new Map(ink.facts.slides.map((slide) => [slide.id, slide]));

  ink.slideKey = (slide) => JSON.stringify([slide.id, "slide"]);
  ink.missedKey = (slide, polygon) => JSON.stringify([slide.id, "missed", polygon]);

  /** What a key is about where that is no region that was shown: {kind, slide, polygon}; else null. */
  ink.answerOf = function (key) {
    if (!key.startsWith('["')) return null; // the key of a region on a server
    try {
      const [id, kind, polygon] = JSON.parse(key);
      const slide = slideById.get(id);
      if (!slide || (kind !== "slide" && kind !== "missed")) return null;
      return { kind, slide, polygon: polygon ?? "" };
    } catch {
      return null;
    }
  };

  /** The marks of a slide, in the order they were set: {key, polygon, verdict, note, time}. */
  ink.marksOf = function (slide) {
    const start = `${JSON.stringify([slide.id, "missed"]).slice(0, -1)},`;
    const found = [];
    for (const [key, entry] of ink.verdicts.all()) {
      const given = key.startsWith(start) ? entry.verdicts[ink.MISSED] : null;
      if (given) found.push({ key, polygon: ink.answerOf(key).polygon, verdict: given.verdict, note: entry.note?.text ?? "", time: given.time });
    }
    return found.sort((a, b) => a.time.localeCompare(b.time) || a.key.localeCompare(b.key));
  };

  /** Corners of a polygon in level-0 pixels. */
  ink.cornersOf = (polygon) => (polygon.match(/-?[\d.]+ -?[\d.]+/g) ?? []).map((pair) => pair.split(" ").map(Number));

  const means = (name) => ink.facts.slide_categories.find((category) => category.name === name)?.means ?? "";

  /** Say something about a slide; the same again takes it back. An inadequate slide is never negative. */
  ink.answerSlide = function (slide, head, verdict) {
    ink.verdicts.edit(ink.slideKey(slide), (entry) => {
      const { [head]: before, ...rest } = entry.verdicts;
      entry.verdicts = rest;
      if (before?.verdict === verdict) return;
      const time = new Date().toISOString();
      entry.verdicts[head] = head === ink.CATEGORY ? { verdict, means: means(verdict), time } : { verdict, time };
      ink.oneOfTwo(entry.verdicts, head);
    });
  };

  /** Of "inadequate" and a negative category only one stays: the one that is given, else the later one. */
  ink.oneOfTwo = function (verdicts, given) {
    const [adequacy, category] = [verdicts[ink.ADEQUACY], verdicts[ink.CATEGORY]];
    if (adequacy?.verdict !== "inadequate" || category?.means !== "negative") return;
    const later = given ?? (adequacy.time < category.time ? ink.CATEGORY : ink.ADEQUACY);
    delete verdicts[later === ink.CATEGORY ? ink.ADEQUACY : ink.CATEGORY];
  };

  ink.markMissed = function (slide, polygon, verdict) {
    ink.verdicts.edit(ink.missedKey(slide, polygon), (entry) => {
      if (entry.verdicts[ink.MISSED]?.verdict === verdict) return;
      entry.verdicts = { [ink.MISSED]: { verdict, time: new Date().toISOString() } };
    });
  };

  /** Take a mark away, with its note. */
  ink.unmark = function (key) {
    ink.verdicts.edit(key, (entry) => {
      entry.verdicts = {};
      entry.note = null;
    });
  };

  /** The answer of a slide in words; empty where there is none. */
  ink.slideAnswerWords = function (slide) {
    const key = ink.slideKey(slide);
    const adequacy = ink.verdicts.verdict(key, ink.ADEQUACY);
    const words = [ink.verdicts.verdict(key, ink.CATEGORY), adequacy === "inadequate" ? "not adequate" : adequacy];
    return words.filter((word) => word !== null).join(", ");
  };

  ink.missedWords = { other: "something else", look_again: "look again" };
  ink.missedWord = (verdict) => ink.missedWords[verdict] ?? ink.words(verdict);

  // --- Outlines -----------------------------------------------------------------------------------------------------

  const text = (corners) => `POLYGON ((${[...corners, corners[0]].map(([x, y]) => `${x} ${y}`).join(", ")}))`;
  const rounded = (corners) => corners.map(([x, y]) => [Math.round(x), Math.round(y)]);

  /** A circle around a point in level-0 pixels, `um` wide, as a polygon. */
  ink.circleAt = function (slide, x, y, um) {
    const corners = Array.from({ length: 16 }, (_, index) => {
      const angle = (index * Math.PI) / 8;
      return [x + (Math.cos(angle) * um) / 2 / slide.mpp[0], y + (Math.sin(angle) * um) / 2 / slide.mpp[1]];
    });
    return text(rounded(corners));
  };

  /** An outline that was drawn by hand, in level-0 pixels; null where it encloses nothing. One that crosses itself becomes its hull. */
  ink.outlineOf = function (points) {
    const unique = rounded(points).filter((point, index, all) => index === 0 || String(point) !== String(all[index - 1]));
    const step = Math.ceil(unique.length / 120);
    const corners = unique.filter((_, index) => index % step === 0);
    if (corners.length > 1 && String(corners[0]) === String(corners.at(-1))) corners.pop();
    const ring = crosses(corners) ? hull(corners) : corners;
    return ring.length >= 3 && Math.abs(area(ring)) >= 1 ? text(ring) : null;
  };

  const turn = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);

  const area = (ring) => ring.reduce((sum, [x, y], index) => sum + x * ring[(index + 1) % ring.length][1] - y * ring[(index + 1) % ring.length][0], 0) / 2;

  /** Whether two sides meet that are no neighbours; touching counts. */
  function crosses(ring) {
    const side = (index) => [ring[index], ring[(index + 1) % ring.length]];
    for (let one = 0; one < ring.length; one += 1) {
      for (let two = one + 1; two < ring.length; two += 1) {
        const [[a, b], [c, d]] = [side(one), side(two)];
        const neighbours = two === one + 1 || (one === 0 && two === ring.length - 1);
        if (neighbours ? foldsBack(one, two, a, b, c, d) : meet(a, b, c, d)) return true;
      }
    }
    return false;
  }

  /** Whether a side runs back over its neighbour. */
  function foldsBack(one, two, a, b, c, d) {
    const [before, corner, after] = two === one + 1 ? [a, b, d] : [c, d, b];
    const along = (before[0] - corner[0]) * (after[0] - corner[0]) + (before[1] - corner[1]) * (after[1] - corner[1]);
    return turn(before, corner, after) === 0 && along > 0;
  }

  function meet(a, b, c, d) {
    const within = (p, q, r) => turn(p, q, r) === 0 && Math.min(p[0], q[0]) <= r[0] && r[0] <= Math.max(p[0], q[0]) && Math.min(p[1], q[1]) <= r[1] && r[1] <= Math.max(p[1], q[1]);
    const [ab, cd] = [turn(a, b, c) * turn(a, b, d), turn(c, d, a) * turn(c, d, b)];
    return (ab < 0 && cd < 0) || within(a, b, c) || within(a, b, d) || within(c, d, a) || within(c, d, b);
  }

  /** Convex hull (Andrew's monotone chain). */
  function hull(points) {
    const sorted = [...points].sort((p, q) => p[0] - q[0] || p[1] - q[1]);
    const chain = (all) => {
      const found = [];
      for (const point of all) {
        while (found.length >= 2 && turn(found.at(-2), found.at(-1), point) <= 0) found.pop();
        found.push(point);
      }
      return found.slice(0, -1);
    };
    return [...chain(sorted), ...chain([...sorted].reverse())];
  }
})(Inkdot);
