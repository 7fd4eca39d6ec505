// One card per region: image, score, where it lies, and the verdicts.
"use strict";

(function (ink) {
  /** Flagged or not at the locked operating point. */
  ink.flagWords = (region) => (region.flagged ? "flagged" : "not flagged");

  ink.scoreLine = function (slide, region) {
    const line = ink.make("p", { class: "score-line" }, ink.make("span", { class: "rank", text: `${region.rank}` }));
    if (ink.blinded) return line;
    line.append(
      ink.make("span", { class: "score", text: ink.score(region.score), title: `Score for ${ink.flagHead.flag_class}, 0 to 1` }),
      ink.make("span", { class: region.flagged ? "flag yes" : "flag no", text: ink.flagWords(region) }),
    );
    return line;
  };

  /** The observed share of the flag class among validation regions with similar scores, with its interval. */
  ink.reliabilityLine = function (region) {
    const step = ink.blinded ? null : region.reliability;
    if (!step) return null;
    const percent = (share) => Math.round(share * 100);
    const flag = ink.words(ink.flagHead.flag_class);
    const range = `${percent(step.low)}\u2060–\u2060${percent(step.high)}\u00a0%`; // never broken over two lines
    const kind = ink.facts.synthetic_model ? "synthetic specimens: " : "";
    const title = `Of ${ink.counted(step.regions, "validation region", "validation regions")} scored ${step.from} to ${step.to}, ${percent(step.share)}\u00a0% were ${flag} (95\u00a0% interval ${range}). Where ${flag} regions are rarer or commoner than there, this share differs.`;
    return ink.make("p", { class: "reliability", title, text: `${kind}of regions with such scores ${percent(step.share)}\u00a0% (${range}) were ${flag}` });
  };

  /** Of an ensemble: how far its models are apart on the region. */
  ink.spreadLine = function (region) {
    if (ink.blinded || typeof region.spread !== "number") return null;
    const title = "Standard deviation of the scores of the ensemble's models. Where it is high, the models disagree about this region.";
    return ink.make("p", { class: "reliability", title, text: `models differ by \u00b1\u00a0${ink.score(region.spread)}` });
  };

  /** The score as a bar with a mark at the operating point. */
  ink.scoreMeter = function (slide, region) {
    if (ink.blinded) return null;
    const fill = ink.make("span", { class: "fill", style: { width: `${region.score * 100}%` } });
    const mark = ink.make("span", { class: "mark", style: { left: `${slide.threshold * 100}%` } });
    const title = `Score ${ink.score(region.score)}; flagged from ${ink.score(slide.threshold)} (operating point locked with the model${slide.count_rule ? ", for a slide of so many" : ""})`;
    return ink.make("span", { class: region.flagged ? "meter yes" : "meter no", title, "aria-hidden": "true" }, fill, mark);
  };

  /** Scores of the other heads; those that depend on the flag class, such as morphology, only for flagged regions. */
  ink.furtherScores = function (region) {
    if (ink.blinded) return [];
    const heads = ink.facts.heads.filter((head) => head !== ink.flagHead && ink.scoresMatter(head, region));
    return heads.map((head) => {
      const parts = head.classes.map((item) => ({ words: item.words, score: region.scores[head.name]?.[item.name] ?? 0 }));
      const line = ink.make("p", { class: "further", title: `${ink.words(head.name)}: ${ink.callWords(region.calls?.[head.name] ?? "not called")}` });
      for (const part of parts) {
        const called = region.calls?.[head.name] === part.words;
        line.append(ink.make("span", { class: called ? "part called" : "part" }, ink.make("span", { class: "part-words", text: part.words }), ink.make("span", { class: "number", text: ink.score(part.score) })));
      }
      line.append(
        ink.make("span", { class: "split", "aria-hidden": "true" }, ...parts.map((part) => ink.make("span", { style: { "flex-grow": String(part.score) } }))),
      );
      return line;
    });
  };

  /** Tint of a verdict by what it means for the flagging head; none for other heads. */
  function tint(head, verdict) {
    if (head.flag_class === null) return "plain";
    const weights = Object.entries(verdict.weights);
    if (weights.length === 0) return "none";
    if (weights.length > 1) return "between";
    return weights[0][0] === head.flag_class ? "bad" : "good";
  }

  const SECOND_CLICK_MS = 500;
  const SAME_SPOT_PX = 24; // a second tap of a finger lies a little beside the first
  let last = { key: null, time: 0, x: 0, y: 0 };

  /** Whether this is the second half of a double click that now lies on the next region, because the page moved on. */
  function isSecondClick(event, key) {
    if (event.detail === 0) return false; // by the keyboard
    const near = Math.hypot(event.clientX - last.x, event.clientY - last.y) < SAME_SPOT_PX;
    if (last.key !== key && near && event.timeStamp - last.time < SECOND_CLICK_MS) return true;
    last = { key, time: event.timeStamp, x: event.clientX, y: event.clientY };
    return false;
  }

  /** Verdict buttons of all heads; those whose condition is not met are hidden. `tabbable`: whether the tab key reaches them. */
  ink.verdictButtons = function (slide, region, choose, tabbable) {
    const key = ink.regionKey(slide, region);
    const groups = ink.asked.map((head) => {
      const applies = ink.verdicts.applies(key, head);
      const current = ink.verdicts.verdict(key, head.name);
      const buttons = head.verdicts.map((verdict) =>
        ink.make(
          "button",
          {
            type: "button",
            class: `verdict ${tint(head, verdict)}`,
            "aria-pressed": String(current === verdict.name),
            "aria-keyshortcuts": ink.keyOf(head.name, verdict.name),
            tabindex: tabbable ? "0" : "-1",
            title: head === ink.finder ? ink.sentence(ink.noCellMeans) : null,
            data: { head: head.name, verdict: verdict.name },
            on: { click: (event) => isSecondClick(event, key) || choose(head, verdict.name) },
          },
          ink.make("kbd", { text: ink.keyOf(head.name, verdict.name), "aria-hidden": "true" }),
          ink.make("span", { text: ink.words(verdict.name) }),
        ),
      );
      return ink.make("div", { class: "verdicts", role: "group", "aria-label": ink.words(head.name), hidden: !applies }, ...buttons);
    });
    return ink.make("div", { class: "verdict-groups" }, ...groups);
  };

  ink.verdictWords = function (key) {
    const verdicts = ink.asked.map((head) => ink.verdicts.verdict(key, head.name)).filter((verdict) => verdict !== null);
    return verdicts.map(ink.words).join(", ");
  };

  function label(slide, region) {
    const parts = [`Region ${region.rank}`];
    if (!ink.blinded) parts.push(`score ${ink.score(region.score)}`, ink.flagWords(region));
    const nuclei = ink.nucleiWords(region);
    if (nuclei !== "") parts.push(nuclei);
    if (ink.alsoFlaggedWords(region) !== "") parts.push(ink.alsoFlaggedWords(region));
    if (region.cluster) parts.push(...region.cluster.reservations);
    const verdicts = ink.verdictWords(ink.regionKey(slide, region));
    parts.push(verdicts === "" ? "not reviewed" : `verdict ${verdicts}`);
    return parts.join(", ");
  }

  ink.card = function (slide, region, actions, current) {
    const key = ink.regionKey(slide, region);
    const where = ink.regionWords(slide, region);
    const note = ink.verdicts.note(key);
    const image = ink.make(
      "button",
      { type: "button", class: "open", "aria-label": `Open region ${region.rank} with its surroundings`, tabindex: current ? "0" : "-1", on: { click: () => actions.open(region) } },
      ink.image(region.tile, "", region.bar, true),
    );
    const article = ink.make(
      "article",
      { tabindex: current ? "0" : "-1", "aria-label": label(slide, region), on: { focusin: () => actions.attend(region) } },
      image,
      ink.scoreLine(slide, region),
      ink.scoreMeter(slide, region),
      ink.verdictButtons(slide, region, (head, verdict) => actions.choose(region, head, verdict), current),
      ink.spreadLine(region),
      ink.reliabilityLine(region),
      ...ink.furtherScores(region),
      ink.nucleiLine(slide, region),
      ink.alsoFlagged(region),
      ink.reservations(region),
      ink.make("p", { class: "where" }, ink.make("span", { text: where.px }), ink.make("span", { text: where.mm })),
      ink.make("p", { class: "only-print print-verdict", text: ink.verdictWords(key) }),
      note === "" ? null : ink.make("p", { class: "note", text: note }),
    );
    const classes = ["card", current ? "current" : "", ink.verdictWords(key) === "" ? "" : "reviewed"];
    return ink.make("li", { class: classes.filter(Boolean).join(" "), data: { rank: region.rank } }, article);
  };
})(Inkdot);
