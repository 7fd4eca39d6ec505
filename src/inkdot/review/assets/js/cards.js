// One card per region: image, score, where it lies, and the verdicts.
"use strict";

(function (ink) {
  /** Words for what the score means at the locked operating point. */
  ink.flagWords = (region) => (region.flagged ? "flagged" : "below operating point");

  ink.scoreLine = function (slide, region) {
    const line = ink.make("p", { class: "score-line" }, ink.make("span", { class: "rank", text: `${region.rank}` }));
    if (ink.blinded) return line;
    line.append(
      ink.make("span", { class: "score", text: ink.score(region.score), title: `Score for ${ink.flagHead.flag_class}, 0 to 1` }),
      ink.make("span", { class: region.flagged ? "flag yes" : "flag no", text: ink.flagWords(region) }),
    );
    return line;
  };

  /** What such a score was worth on the model's validation data: the uncertainty of the score, with its interval. */
  ink.worthLine = function (region) {
    const worth = ink.blinded ? null : region.worth;
    if (!worth) return null;
    const percent = (share) => Math.round(share * 100);
    const flag = ink.words(ink.flagHead.flag_class);
    const range = `${percent(worth.low)}\u2060–\u2060${percent(worth.high)}\u00a0%`; // never broken over two lines
    const kind = ink.facts.synthetic_model ? "selftest: " : "";
    const title = `Of ${ink.counted(worth.regions, "validation region", "validation regions")} scored ${worth.from} to ${worth.to}, ${percent(worth.share)}\u00a0% were ${flag} (95\u00a0% interval ${range}). Where ${flag} regions are rarer or commoner than there, this share differs.`;
    return ink.make("p", { class: "worth", title, text: `${kind}of regions with such scores ${percent(worth.share)}\u00a0% (${range}) were ${flag}` });
  };

  /** The score as a bar with a mark at the operating point. */
  ink.scoreMeter = function (slide, region) {
    if (ink.blinded) return null;
    const fill = ink.make("span", { class: "fill", style: { width: `${region.score * 100}%` } });
    const mark = ink.make("span", { class: "mark", style: { left: `${slide.threshold * 100}%` } });
    const title = `Score ${ink.score(region.score)}; flagged from ${ink.score(slide.threshold)} (operating point locked with the model)`;
    return ink.make("span", { class: region.flagged ? "meter yes" : "meter no", title, "aria-hidden": "true" }, fill, mark);
  };

  /** Scores of the other questions; those that are asked only of flagged regions, such as morphology, only there. */
  ink.furtherScores = function (region) {
    if (ink.blinded) return [];
    const asked = ink.facts.heads.filter((head) => head !== ink.flagHead && ink.scoresMatter(head, region));
    return asked.map((head) => {
      const parts = head.classes.map((item) => ({ words: item.words, score: region.scores[head.name]?.[item.name] ?? 0 }));
      const line = ink.make("p", { class: "further", title: `${ink.words(head.name)}: ${region.calls?.[head.name] ?? "not called"}` });
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

  /** Tint of an verdict: by what it means for the flagging question, else none. */
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

  /** The second half of a double click, which meets the next region where the first half reviewed and the page went on. */
  function isSecondClick(event, key) {
    if (event.detail === 0) return false; // by the keyboard
    const near = Math.hypot(event.clientX - last.x, event.clientY - last.y) < SAME_SPOT_PX;
    if (last.key !== key && near && event.timeStamp - last.time < SECOND_CLICK_MS) return true;
    last = { key, time: event.timeStamp, x: event.clientX, y: event.clientY };
    return false;
  }

  /** Buttons for all questions; those whose condition is not met are hidden. `tabbable` decides about the tab key. */
  ink.verdictButtons = function (slide, region, choose, tabbable) {
    const key = ink.regionKey(slide, region);
    const groups = ink.facts.heads.map((head) => {
      const open = ink.verdicts.open(key, head);
      const given = ink.verdicts.verdict(key, head.name);
      const buttons = head.verdicts.map((verdict) =>
        ink.make(
          "button",
          {
            type: "button",
            class: `verdict ${tint(head, verdict)}`,
            "aria-pressed": String(given === verdict.name),
            "aria-keyshortcuts": ink.keyOf(head.name, verdict.name),
            tabindex: tabbable ? "0" : "-1",
            data: { head: head.name, verdict: verdict.name },
            on: { click: (event) => isSecondClick(event, key) || choose(head, verdict.name) },
          },
          ink.make("kbd", { text: ink.keyOf(head.name, verdict.name), "aria-hidden": "true" }),
          ink.make("span", { text: ink.words(verdict.name) }),
        ),
      );
      return ink.make("div", { class: "verdicts", role: "group", "aria-label": ink.words(head.name), hidden: !open }, ...buttons);
    });
    return ink.make("div", { class: "verdict-groups" }, ...groups);
  };

  ink.verdictWords = function (key) {
    const given = ink.facts.heads.map((head) => ink.verdicts.verdict(key, head.name)).filter((verdict) => verdict !== null);
    return given.map(ink.words).join(", ");
  };

  function label(slide, region) {
    const parts = [`Region ${region.rank}`];
    if (!ink.blinded) parts.push(`score ${ink.score(region.score)}`, ink.flagWords(region));
    const nuclei = ink.nucleiWords(region);
    if (nuclei !== "") parts.push(nuclei);
    if (region.cluster) parts.push(...region.cluster.reservations);
    const given = ink.verdictWords(ink.regionKey(slide, region));
    parts.push(given === "" ? "not reviewed" : `reviewed ${given}`);
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
      ink.worthLine(region),
      ...ink.furtherScores(region),
      ink.nucleiLine(slide, region),
      ink.reservations(region),
      ink.make("p", { class: "where" }, ink.make("span", { text: where.px }), ink.make("span", { text: where.mm })),
      ink.verdictButtons(slide, region, (head, verdict) => actions.choose(region, head, verdict), current),
      ink.make("p", { class: "only-print print-verdict", text: ink.verdictWords(key) }),
      note === "" ? null : ink.make("p", { class: "note", text: note }),
    );
    const classes = ["card", current ? "current" : "", ink.verdictWords(key) === "" ? "" : "reviewed"];
    return ink.make("li", { class: classes.filter(Boolean).join(" "), data: { rank: region.rank } }, article);
  };
})(Inkdot);
