// Measurements of a cluster's nuclei. They describe only: no cut is applied to them.
"use strict";

(function (ink) {
  const MEASURES = [
    ["diameter_median_um", "median nuclear diameter", (v) => `${v.toFixed(1)} µm`, "Equivalent diameter, of a disc of the same area; median of the nuclei"],
    ["diameter_ratio", "ratio to this slide's lymphocytes", (v) => `${v.toFixed(2)} ×`, "Median nuclear diameter by that of this slide's resting lymphocytes; no cut is applied to it"],
    ["diameter_spread", "spread of diameters", (v) => v.toFixed(2), "Standard deviation of the diameters by their mean"],
    ["aspect_median", "length to width", (v) => v.toFixed(2), "Longer by shorter axis; 1 for a disc; median"],
    ["hyperchromasia", "darkness relative to lymphocytes", (v) => `${v.toFixed(2)} ×`, "Mean optical density of red and green light by that of this slide's resting lymphocytes"],
    ["nc_diameter_ratio_median", "nucleus-to-cell diameter", (v) => v.toFixed(2), "Diameter of the nucleus by that of the cell; an estimate; median"],
    ["moulding_index", "moulding", (v) => v.toFixed(2), "Share of the nuclei's outlines that fits a neighbour's; 0 for nuclei apart"],
    ["nucleolus_fraction", "nuclei with a nucleolus", (v) => `${Math.round(v * 100)} %`, "Share of nuclei with a prominent dark round spot"],
    ["texture_median", "chromatin texture", (v) => v.toFixed(3), "Standard deviation of the stain at half a micrometre, by its mean; near 0 for smudged chromatin; median"],
  ];

  /** One line for the card, such as "12 nuclei, 13.1 µm, 1.9 × lymphocytes". */
  ink.nucleiWords = function (region) {
    const cluster = region.cluster;
    if (!cluster) return "";
    const found = cluster.measures;
    const count = cluster.measured_nuclei || cluster.nuclei;
    const parts = [`${cluster.measured_nuclei ? "" : "about "}${ink.counted(count, "nucleus", "nuclei")}`];
    if (found.diameter_median_um !== undefined) parts.push(`${found.diameter_median_um.toFixed(1)}\u00a0µm`);
    if (found.diameter_ratio !== undefined) parts.push(`${found.diameter_ratio.toFixed(2)}\u00a0× lymphocytes`);
    return parts.join(", ");
  };

  ink.nucleiLine = function (slide, region) {
    const words = ink.nucleiWords(region);
    if (words === "") return null;
    const hint = region.cluster.measures.diameter_ratio === undefined ? ink.referenceText(slide) : "Median nuclear diameter, and its ratio to this slide's resting lymphocytes";
    return ink.make("p", { class: "nuclei", text: words, title: hint });
  };

  /** Flagged clusters that lie in this image and have no card of their own, such as "1 more flagged cluster in this image". */
  ink.alsoFlaggedWords = function (region) {
    const count = region.cluster?.flagged_others ?? 0;
    return count === 0 ? "" : `${ink.counted(count, "more flagged cluster", "more flagged clusters")} in this image`;
  };

  ink.alsoFlagged = function (region) {
    const words = ink.alsoFlaggedWords(region);
    if (words === "") return null;
    return ink.make("p", { class: "reservations", text: words, title: "Smaller groups or cells without a card of their own; they are outlined where the image is enlarged" });
  };

  /** Why a score or a measurement is less reliable. */
  ink.reservations = function (region) {
    const found = region.cluster?.reservations ?? [];
    if (found.length === 0) return null;
    return ink.make("p", { class: "reservations", text: found.join("; ") });
  };

  ink.referenceText = function (slide) {
    const reference = slide.lymphocyte_reference;
    if (!reference) return "";
    if (reference.reason) return `${ink.sentence(reference.reason)}.`;
    return `Size reference: ${reference.lymphocytes} resting lymphocytes of ${reference.diameter_um.toFixed(1)} µm (median nuclear diameter).`;
  };

  /** How many nuclei were outlined, of how many; the coarse image counts nuclei that overlap as one. */
  function outlined(cluster) {
    if (cluster.measured_nuclei === null) return "–";
    return cluster.measured_nuclei < cluster.nuclei ? `${cluster.measured_nuclei} of about ${cluster.nuclei}` : String(cluster.measured_nuclei);
  }

  /** Rows of [words, value, definition] for the enlarged region. */
  ink.measureRows = function (slide, region) {
    const cluster = region.cluster;
    if (!cluster) return [];
    const rows = [["nuclei outlined", outlined(cluster), "Nuclei outlined at full scale, and the estimate from a coarse image"]];
    for (const [name, words, write, title] of MEASURES) {
      if (cluster.measures[name] !== undefined) rows.push([words, write(cluster.measures[name]), title]);
    }
    if (cluster.group_nuclei > cluster.nuclei) rows.push(["part of a larger group", `of about ${cluster.group_nuclei} nuclei`, "Groups that do not fit one image are cut into fields, each with a card of its own"]);
    if (cluster.flagged_others > 0) rows.push(["also flagged in this image", ink.counted(cluster.flagged_others, "smaller group or cell", "smaller groups or cells"), "They are outlined too; the verdict is on the cluster in the middle"]);
    if (cluster.others > 0) rows.push(["also in this image", ink.counted(cluster.others, "smaller group or cell", "smaller groups or cells"), "They lie fully in the image and have no card of their own"]);
    return rows;
  };
})(Inkdot);
