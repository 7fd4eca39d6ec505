// verdicts.csv: one line per answer, with the place as a level-0 polygon and what was shown when it was given; and back.
"use strict";

(function (ink) {
  const COLUMNS = [
    "slide_id", "place", "head", "answer", "reader", "time", "shown", "rank", "score", "note", "model_sha256", "order_seed", "schema",
  ];
  const SCHEMA = "inkdot.verdicts/1";
  const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/; // of two answers the later counts

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

  /** Cells of a table whose cells may be quoted, row by row; some spreadsheets part them by semicolons. */
  function rowsOf(text) {
    const mark = /^[^,\n]*;/.test(text) ? ";" : ",";
    const rows = [[]];
    let cell = "";
    let quoted = false;
    for (let at = 0; at < text.length; at += 1) {
      const sign = text[at];
      if (quoted && sign === '"' && text[at + 1] === '"') cell += text[(at += 1)];
      else if (sign === '"') quoted = !quoted;
      else if (!quoted && (sign === mark || sign === "\n" || sign === "\r")) {
        rows.at(-1).push(cell);
        cell = "";
        if (sign === "\r" && text[at + 1] === "\n") at += 1;
        if (sign !== mark) rows.push([]);
      } else cell += sign;
    }
    rows.at(-1).push(cell);
    return rows.filter((row) => row.some((text) => text !== ""));
  }

  /** The text that was given to `cell`. */
  const plain = (text) => (/^'+[=+\-@\t\r]/.test(text) ? text.slice(1) : text);

  /** Rows as objects; throws a sentence for people where it is no table of ours. */
  function savedRows(text) {
    const [header, ...rows] = rowsOf(text.replace(/^\ufeff/, ""));
    const missing = COLUMNS.filter((name) => !header?.includes(name));
    if (missing.length > 0) throw new Error("This is no verdicts.csv that was saved here.");
    const found = rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? ""])));
    if (found.some((row) => row.schema !== SCHEMA)) throw new Error(`Expected verdicts of ${SCHEMA}, found another version.`);
    const changed = found.find((row) => !TIME.test(row.time));
    if (changed) throw new Error(`Expected times such as 2026-01-31T09:30:00Z, as they were saved; found ${changed.time || "none"}.`);
    return found;
  }

  /** Whose answers to take: the reader's, or where nobody is named yet those of the only reader in the table. */
  function readerOf(rows) {
    const named = [...new Set(rows.map((row) => plain(row.reader)))];
    if (ink.answers.reader() !== "") return ink.answers.reader();
    if (named.length !== 1) throw new Error("Write the reader's name first: this table has answers of several.");
    ink.answers.become(named[0]);
    ink.at("reader").value = named[0];
    return named[0];
  }

  /** Entries by place key, of the rows that are about what this page shows to this reader. */
  function entriesOf(rows, reader) {
    const places = new Map();
    for (const slide of ink.facts.slides.filter(ink.known)) for (const place of slide.places) places.set(JSON.stringify([slide.id, place.polygon]), ink.placeKey(slide, place));
    const known = (row) => row.head === "" || ink.facts.heads.some((head) => head.name === row.head && head.answers.some((answer) => answer.name === row.answer));
    const shown = ink.blinded ? ["blinded", String(ink.facts.blinded_seed)] : ["scores", ""];
    const entries = new Map();
    let left = 0;
    for (const row of rows) {
      const key = places.get(JSON.stringify([plain(row.slide_id), row.place]));
      const fits = plain(row.reader) === reader && row.model_sha256 === ink.facts.model_sha256 && row.shown === shown[0] && row.order_seed === shown[1];
      if (key === undefined || !fits || !known(row)) {
        left += 1;
        continue;
      }
      const entry = entries.get(key) ?? { answers: {}, note: null };
      if (row.head !== "") entry.answers[row.head] = { answer: row.answer, time: row.time };
      if (row.note !== "") entry.note = { text: plain(row.note), time: row.time };
      entries.set(key, entry);
    }
    return { entries, left };
  }

  /** Bring back what was saved, on this computer or another. */
  ink.loadVerdicts = async function (file) {
    try {
      const rows = savedRows(await file.text());
      const named = new Set(rows.map((row) => plain(row.slide_id)));
      for (const slide of ink.facts.slides) if (named.has(slide.id)) await ink.fetchPlaces(slide);
      const { entries, left } = entriesOf(rows, readerOf(rows));
      const taken = ink.answers.take(entries);
      const others = left > 0 ? ` ${ink.counted(left, "line", "lines")} of other readers, places or models left out.` : "";
      ink.say(`${ink.counted(taken, "place", "places")} brought back.${others}`);
    } catch (error) {
      ink.say(error.message);
    }
  };
})(Inkdot);
