// The page's data, helpers that build elements, and number formats.
// Everything from outside (slide names, warnings, notes) becomes text nodes; nothing here ever parses markup.
"use strict";

const Inkdot = {};

(function (ink) {
  ink.facts = JSON.parse(document.getElementById("facts").textContent);
  ink.blinded = ink.facts.blinded_seed !== null;
  ink.pageSize = 30; // six rows of five

  // The exported page holds all regions; on a server store.js fetches those of a slide.
  ink.known = () => true;
  ink.fetchRegions = async () => true;

  /** Make an element. `set` holds attributes; `text`, `on` (listeners), `data` and `style` (a map) are special. */
  ink.make = function (tag, set, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(set || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "text") node.textContent = value;
      else if (name === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
      else if (name === "data") Object.assign(node.dataset, value);
      else if (name === "style") for (const [key, part] of Object.entries(value)) node.style.setProperty(key, part);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  };

  ink.at = (id) => document.getElementById(id);

  /** 12345 as 12 345 with narrow spaces that do not break. */
  ink.grouped = (number) => String(Math.round(number)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

  /** A score with three decimals. No score is certain: none is shown as 1.000 or 0.000 (inkdot.review.wording has the same rule). */
  ink.score = function (value) {
    if (value === null || value === undefined) return "–";
    if (value >= 0.9995) return ">0.999";
    if (value < 0.0005) return "<0.001";
    return value.toFixed(3);
  };

  ink.length = (um) => (um >= 1000 ? `${um / 1000} mm` : `${um} µm`);

  ink.counted = (count, one, many) => `${ink.grouped(count)} ${count === 1 ? one : many}`;

  // "indeterminate" is what the model says of a slide; a reader's answer and a head's missing call have words of their own.
  const PLAIN_WORDS = { indeterminate: "type unclear" };

  /** The words of a label. */
  ink.words = (name) => PLAIN_WORDS[name] ?? name.replace(/_/g, " ");

  /** The words of a head's call on a region. */
  ink.callWords = (call) => (call === "indeterminate" ? "not decided" : call);

  /** With a capital, as a sentence begins. */
  ink.sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  /** Show a short message; screen readers announce it. */
  let statusTimer = 0;
  ink.announce = function (text) {
    const status = ink.at("status");
    status.textContent = text;
    status.classList.add("on");
    clearTimeout(statusTimer);
    statusTimer = setTimeout(() => status.classList.remove("on"), 3500);
  };

  ink.flagHead = ink.facts.heads.find((head) => head.flag_class !== null) || null;

  /** "Not a cell": an answer about the cell finder, not about a class. It excludes verdicts on the heads. */
  ink.finder = { name: "cell_finder", classes: [], verdicts: [{ name: "not_a_cell", weights: {} }], condition: null, flag_class: null };

  ink.noCellMeans = "nothing in the region is a nucleated cell, but debris, a fibre, a crystal or stain precipitate";

  /** What is asked about every region: the heads of the model, and whether there is a cell at all. */
  ink.asked = [...ink.facts.heads, ink.finder];

  const headNamed = (name) => ink.facts.heads.find((head) => head.name === name) || null;

  /** Verdicts on the head that a head depends on which mean the required class by more than half. */
  ink.openingVerdicts = function (head) {
    if (head.condition === null) return [];
    const [name, required] = head.condition;
    const verdicts = headNamed(name)?.verdicts ?? [];
    return verdicts.filter((verdict) => (verdict.weights[required] ?? 0) > 0.5).map((verdict) => verdict.name);
  };

  ink.conditionWords = function (head) {
    const verdicts = ink.openingVerdicts(head).map(ink.words).join(" or ");
    return `${ink.sentence(ink.words(head.name))} is asked only where the verdict on ${ink.words(head.condition[0])} is ${verdicts}.`;
  };

  /** Whether a head's scores are shown: those that depend on the flag class only where the region is flagged. */
  ink.scoresMatter = (head, region) =>
    head.condition === null || head.condition[0] !== ink.flagHead.name || head.condition[1] !== ink.flagHead.flag_class || region.flagged;

  /** Centre of a region in mm from the top left corner of level 0. */
  ink.regionMm = function (slide, region) {
    const [left, top, right, bottom] = region.box_l0_px;
    return [((left + right) / 2) * slide.mpp[0] / 1000, ((top + bottom) / 2) * slide.mpp[1] / 1000];
  };

  ink.regionWords = function (slide, region) {
    const [x, y] = ink.regionMm(slide, region);
    return {
      px: `x ${ink.grouped(region.x_l0_px)}, y ${ink.grouped(region.y_l0_px)} px`,
      mm: `${x.toFixed(2)}, ${y.toFixed(2)} mm`,
    };
  };
})(Inkdot);
