// One card per place: picture, score, where it lies, and the answers.
"use strict";

(function (ink) {
  /** Words for what the score means at the locked operating point. */
  ink.flagWords = (place) => (place.flagged ? "flagged" : "below operating point");

  ink.scoreLine = function (slide, place) {
    const line = ink.make("p", { class: "score-line" }, ink.make("span", { class: "rank", text: `${place.rank}` }));
    if (ink.blinded) return line;
    line.append(
      ink.make("span", { class: "score", text: ink.score(place.score), title: `Score for ${ink.flagHead.flag_class}, 0 to 1` }),
      ink.make("span", { class: place.flagged ? "flag yes" : "flag no", text: ink.flagWords(place) }),
    );
    return line;
  };

  /** What such a score was worth on the model's validation data: the uncertainty of the score, with its interval. */
  ink.worthLine = function (place) {
    const worth = ink.blinded ? null : place.worth;
    if (!worth) return null;
    const percent = (share) => Math.round(share * 100);
    const flag = ink.words(ink.flagHead.flag_class);
    const range = `${percent(worth.low)}\u2060–\u2060${percent(worth.high)}\u00a0%`; // never broken over two lines
    const kind = ink.facts.synthetic_model ? "selftest: " : "";
    const title = `Of ${ink.counted(worth.places, "validation place", "validation places")} scored ${worth.from} to ${worth.to}, ${percent(worth.share)}\u00a0% were ${flag} (95\u00a0% interval ${range}). Where ${flag} places are rarer or commoner than there, this share differs.`;
    return ink.make("p", { class: "worth", title, text: `${kind}of places with such scores ${percent(worth.share)}\u00a0% (${range}) were ${flag}` });
  };

  /** The score as a bar with a mark at the operating point. */
  ink.scoreMeter = function (slide, place) {
    if (ink.blinded) return null;
    const fill = ink.make("span", { class: "fill", style: { width: `${place.score * 100}%` } });
    const mark = ink.make("span", { class: "mark", style: { left: `${slide.threshold * 100}%` } });
    const title = `Score ${ink.score(place.score)}; flagged from ${ink.score(slide.threshold)} (operating point locked with the model)`;
    return ink.make("span", { class: place.flagged ? "meter yes" : "meter no", title, "aria-hidden": "true" }, fill, mark);
  };

  /** Scores of the other questions; those that are asked only of flagged places, such as morphology, only there. */
  ink.furtherScores = function (place) {
    if (ink.blinded) return [];
    const asked = ink.facts.heads.filter((head) => head !== ink.flagHead && ink.scoresMatter(head, place));
    return asked.map((head) => {
      const parts = head.classes.map((item) => ({ words: item.words, score: place.scores[head.name]?.[item.name] ?? 0 }));
      const line = ink.make("p", { class: "further", title: `${ink.words(head.name)}: ${place.calls?.[head.name] ?? "not called"}` });
      for (const part of parts) {
        const called = place.calls?.[head.name] === part.words;
        line.append(ink.make("span", { class: called ? "part called" : "part" }, ink.make("span", { class: "part-words", text: part.words }), ink.make("span", { class: "number", text: ink.score(part.score) })));
      }
      line.append(
        ink.make("span", { class: "split", "aria-hidden": "true" }, ...parts.map((part) => ink.make("span", { style: { "flex-grow": String(part.score) } }))),
      );
      return line;
    });
  };

  /** Tint of an answer: by what it means for the flagging question, else none. */
  function tint(head, answer) {
    if (head.flag_class === null) return "plain";
    const weights = Object.entries(answer.weights);
    if (weights.length === 0) return "none";
    if (weights.length > 1) return "between";
    return weights[0][0] === head.flag_class ? "bad" : "good";
  }

  const SECOND_CLICK_MS = 500;
  const SAME_SPOT_PX = 24; // a second tap of a finger lies a little beside the first
  let last = { key: null, time: 0, x: 0, y: 0 };

  /** The second half of a double click, which meets the next place where the first half answered and the page went on. */
  function isSecondClick(event, key) {
    if (event.detail === 0) return false; // by the keyboard
    const near = Math.hypot(event.clientX - last.x, event.clientY - last.y) < SAME_SPOT_PX;
    if (last.key !== key && near && event.timeStamp - last.time < SECOND_CLICK_MS) return true;
    last = { key, time: event.timeStamp, x: event.clientX, y: event.clientY };
    return false;
  }

  /** Buttons for all questions; those whose condition is not met are hidden. `tabbable` decides about the tab key. */
  ink.answerButtons = function (slide, place, choose, tabbable) {
    const key = ink.placeKey(slide, place);
    const groups = ink.facts.heads.map((head) => {
      const open = ink.answers.open(key, head);
      const given = ink.answers.answer(key, head.name);
      const buttons = head.answers.map((answer) =>
        ink.make(
          "button",
          {
            type: "button",
            class: `answer ${tint(head, answer)}`,
            "aria-pressed": String(given === answer.name),
            "aria-keyshortcuts": ink.keyOf(head.name, answer.name),
            tabindex: tabbable ? "0" : "-1",
            data: { head: head.name, answer: answer.name },
            on: { click: (event) => isSecondClick(event, key) || choose(head, answer.name) },
          },
          ink.make("kbd", { text: ink.keyOf(head.name, answer.name), "aria-hidden": "true" }),
          ink.make("span", { text: ink.words(answer.name) }),
        ),
      );
      return ink.make("div", { class: "answers", role: "group", "aria-label": ink.words(head.name), hidden: !open }, ...buttons);
    });
    return ink.make("div", { class: "answer-groups" }, ...groups);
  };

  ink.answerWords = function (key) {
    const given = ink.facts.heads.map((head) => ink.answers.answer(key, head.name)).filter((answer) => answer !== null);
    return given.map(ink.words).join(", ");
  };

  function label(slide, place) {
    const parts = [`Place ${place.rank}`];
    if (!ink.blinded) parts.push(`score ${ink.score(place.score)}`, ink.flagWords(place));
    const nuclei = ink.nucleiWords(place);
    if (nuclei !== "") parts.push(nuclei);
    if (place.cluster) parts.push(...place.cluster.reservations);
    const given = ink.answerWords(ink.placeKey(slide, place));
    parts.push(given === "" ? "not answered" : `answered ${given}`);
    return parts.join(", ");
  }

  ink.card = function (slide, place, actions, current) {
    const key = ink.placeKey(slide, place);
    const where = ink.placeWords(slide, place);
    const note = ink.answers.note(key);
    const picture = ink.make(
      "button",
      { type: "button", class: "open", "aria-label": `Open place ${place.rank} with its surroundings`, tabindex: current ? "0" : "-1", on: { click: () => actions.open(place) } },
      ink.picture(place.tile, "", place.bar, true),
    );
    const article = ink.make(
      "article",
      { tabindex: current ? "0" : "-1", "aria-label": label(slide, place), on: { focusin: () => actions.attend(place) } },
      picture,
      ink.scoreLine(slide, place),
      ink.scoreMeter(slide, place),
      ink.worthLine(place),
      ...ink.furtherScores(place),
      ink.nucleiLine(slide, place),
      ink.reservations(place),
      ink.make("p", { class: "where" }, ink.make("span", { text: where.px }), ink.make("span", { text: where.mm })),
      ink.answerButtons(slide, place, (head, answer) => actions.choose(place, head, answer), current),
      ink.make("p", { class: "only-print print-answer", text: ink.answerWords(key) }),
      note === "" ? null : ink.make("p", { class: "note", text: note }),
    );
    const classes = ["card", current ? "current" : "", ink.answerWords(key) === "" ? "" : "answered"];
    return ink.make("li", { class: classes.filter(Boolean).join(" "), data: { rank: place.rank } }, article);
  };
})(Inkdot);
