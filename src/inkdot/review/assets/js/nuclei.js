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

  // --- Nuclei as outlined, over the enlarged region --------------------------------------------------------------------

  // Bluish green of Okabe and Ito: neither a stain nor one of the colours of calls.
  const OUTLINE = { colour: "#009e73", measured: [], cut: [4, 3] };

  /** Why the nuclei of a region cannot be shown as outlined; empty where they can. */
  function withoutOutlines(cluster) {
    if (cluster.measured_nuclei === null) return "the nuclei of this cluster were not measured: it is not among the highest scores";
    if (!cluster.outlines) return "these results hold no outlines: an earlier version made them; run inkdot predict again";
    if (cluster.outlines.measured.length + cluster.outlines.cut.length === 0) return "no nucleus of this cluster could be outlined";
    return "";
  }

  const showsNuclei = (region) => ink.viewTools.nuclei && Boolean(region?.cluster) && withoutOutlines(region.cluster) === "";

  /** What the lines mean, as [dash, words]. */
  function legendLines({ cluster }) {
    const { measured, cut } = cluster.outlines;
    const first = measured.length < cluster.measured_nuclei ? `; ${measured.length} of them are drawn` : "";
    return [
      ["solid", `${outlined(cluster)} ${cluster.nuclei === 1 && cluster.measured_nuclei === 1 ? "nucleus" : "nuclei"} measured${first}`],
      cut.length > 0 ? ["dashed", `${cut.length} cut by the edge of the field: not measured`] : null,
      cluster.measured_nuclei + cut.length < cluster.nuclei ? ["none", "the rest of the estimate has no outline"] : null,
    ].filter((line) => line !== null);
  }

  /** The same in one line, for the caption of a saved image; empty where nothing is outlined. */
  ink.nucleiCaption = (region) => (showsNuclei(region) ? `Nuclei as outlined: ${legendLines(region).map(([dash, words]) => (dash === "dashed" ? `dashed: ${words}` : words)).join("; ")}` : "");

  /**
   * Outline the nuclei of a region.
   * @param place from level-0 pixels, counted from the corner of the region's surroundings, to the screen
   */
  ink.drawNuclei = function (context, region, place) {
    if (!showsNuclei(region)) return;
    for (const kind of ["cut", "measured"]) {
      const path = new Path2D();
      for (const ring of region.cluster.outlines[kind]) {
        for (let index = 0; index < ring.length; index += 2) path[index === 0 ? "moveTo" : "lineTo"](...place(ring[index], ring[index + 1]));
        path.closePath();
      }
      ink.strokeTwice(context, path, OUTLINE.colour, OUTLINE[kind], 1.5);
    }
  };

  /** The button that shows them, and the legend of the lines; nothing where a region has no cluster. */
  ink.nucleiSwitch = function (region) {
    if (!region?.cluster) return [];
    const reason = withoutOutlines(region.cluster);
    const legend = ink.make("p", { class: "nuclei-legend", role: "note" });
    const button = ink.make(
      "button",
      { type: "button", data: { tool: "nuclei" }, title: reason ? ink.sentence(reason) : "Outline the nuclei that were measured", on: { click: turn } },
      "Nuclei as outlined",
      ink.verdictKeys.has("e") ? null : ink.make("kbd", { text: "e", "aria-hidden": "true" }),
    );
    if (reason) {
      button.setAttribute("aria-disabled", "true");
      button.setAttribute("aria-label", `Nuclei as outlined: ${reason}`);
    }

    function show() {
      button.setAttribute("aria-pressed", String(showsNuclei(region)));
      legend.hidden = !showsNuclei(region);
      if (!legend.hidden) legend.replaceChildren(...legendLines(region).map(([dash, words]) => ink.make("span", { class: `line-${dash}`, text: words })));
    }

    function turn() {
      if (reason) {
        ink.announce(`${ink.sentence(reason)}.`);
        return;
      }
      ink.viewTools.nuclei = !ink.viewTools.nuclei;
      show();
      ink.placeView.view()?.redraw();
    }

    show();
    return [button, legend];
  };

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
