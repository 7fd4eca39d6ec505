// verdicts.csv: one line per answer, with the place as a level-0 polygon and what was shown when it was given.
"use strict";

(function (ink) {
  const COLUMNS = [
    "slide_id", "place", "head", "answer", "reader", "time", "shown", "rank", "score", "note", "model_sha256", "order_seed", "schema",
  ];
  const SCHEMA = "inkdot.verdicts/1";

  /** A cell that no spreadsheet runs as a formula (an apostrophe in front makes it text), quoted where needed. */
  function cell(value) {
    const text = String(value);
    const safe = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  }

  function lines(slide, place, entry) {
    const shown = [ink.blinded ? "blinded" : "scores", place.rank, ink.blinded ? "" : place.score];
    const tail = [entry.note?.text ?? "", ink.facts.model_sha256, ink.blinded ? ink.facts.blinded_seed : "", SCHEMA];
    const given = ink.facts.heads.filter((head) => entry.answers[head.name]);
    const rows = given.map((head) => {
      const { answer, time } = entry.answers[head.name];
      return [slide.id, place.polygon, head.name, answer, ink.answers.reader(), time, ...shown, ...tail];
    });
    if (rows.length === 0 && entry.note) {
      rows.push([slide.id, place.polygon, "", "", ink.answers.reader(), entry.note.time, ...shown, ...tail]);
    }
    return rows;
  }

  ink.verdictsCsv = function () {
    const rows = [COLUMNS];
    for (const slide of ink.facts.slides) {
      for (const place of slide.places) {
        const entry = ink.answers.entry(ink.placeKey(slide, place));
        if (entry) rows.push(...lines(slide, place, entry));
      }
    }
    return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
  };

  ink.saveVerdicts = function () {
    if (ink.answers.reader() === "") {
      ink.say("Write a reader name first: a pseudonym will do.");
      ink.at("reader").focus();
      return;
    }
    if (ink.answers.all().size === 0) {
      ink.say("There are no answers to save yet.");
      return;
    }
    const address = URL.createObjectURL(new Blob([ink.verdictsCsv()], { type: "text/csv" }));
    const link = ink.make("a", { href: address, download: "verdicts.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    ink.answers.saved();
    ink.showProgress();
    ink.say("Saved as verdicts.csv in your downloads.");
  };
})(Inkdot);
