// Write and read verdicts.csv: one row per verdict, with the region as a level-0 polygon and whether scores were shown.
"use strict";

(function (ink) {
  const COLUMNS = [
    "slide_id", "kind", "geometry", "head", "verdict", "means", "reader", "time", "shown", "rank", "score", "note", "model_sha256", "order_seed",
    "schema",
  ];
  const SCHEMA = "inkdot.verdicts/3";
  // Read as well: their answers are all about regions that were shown.
  const EARLIER = { schemas: ["inkdot.verdicts/1", "inkdot.verdicts/2"], columns: { place: "geometry", answer: "verdict" } };
  const NEW_COLUMNS = ["kind", "means"];
  const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/; // of two verdicts the later counts

  /** A cell that no spreadsheet runs as a formula (an apostrophe in front makes it text), quoted where needed. */
  function cell(value) {
    const text = String(value);
    const safe = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  }

  /** Rows of an entry. `about` is {kind, geometry, rank, score, heads}. */
  function lines(slide, about, entry) {
    const shown = [ink.blinded ? "blinded" : "scores", about.rank, ink.blinded ? "" : about.score];
    const tail = [entry.note?.text ?? "", ink.facts.model_sha256, ink.blinded ? ink.facts.blinded_seed : "", SCHEMA];
    const row = (head, given) => [slide.id, about.kind, about.geometry, head, given.verdict, given.means ?? "", ink.verdicts.reader(), given.time, ...shown, ...tail];
    const rows = about.heads.filter((head) => entry.verdicts[head]).map((head) => row(head, entry.verdicts[head]));
    if (rows.length === 0 && entry.note) rows.push(row("", { verdict: "", time: entry.note.time }));
    return rows;
  }

  const HEADS = { region: ink.asked.map((head) => head.name), slide: [ink.ADEQUACY, ink.CATEGORY], missed: [ink.MISSED] };

  /** Rows about a slide as a whole, and about what was missed on it. */
  function slideLines(slide) {
    const entry = ink.verdicts.entry(ink.slideKey(slide));
    const about = (kind, geometry) => ({ kind, geometry, rank: "", score: "", heads: HEADS[kind] });
    const rows = entry ? lines(slide, about("slide", ""), entry) : [];
    return [...rows, ...ink.marksOf(slide).flatMap((mark) => lines(slide, about("missed", mark.polygon), ink.verdicts.entry(mark.key)))];
  }

  ink.verdictsCsv = function () {
    const rows = [COLUMNS];
    for (const slide of ink.facts.slides) {
      for (const region of slide.regions) {
        const entry = ink.verdicts.entry(ink.regionKey(slide, region));
        if (entry) rows.push(...lines(slide, { kind: "region", geometry: region.polygon, rank: region.rank, score: region.score, heads: HEADS.region }, entry));
      }
      rows.push(...slideLines(slide));
    }
    return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
  };

  ink.saveVerdicts = function () {
    if (ink.verdicts.reader() === "") {
      ink.announce("Enter a reader name first; use a pseudonym.");
      ink.at("reader").focus();
      return;
    }
    if (ink.verdicts.all().size === 0) {
      ink.announce("There are no verdicts to save yet.");
      return;
    }
    const address = URL.createObjectURL(new Blob([ink.verdictsCsv()], { type: "text/csv" }));
    const link = ink.make("a", { href: address, download: "verdicts.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    ink.verdicts.saved();
    ink.showProgress();
    ink.announce("Saved as verdicts.csv in your downloads.");
  };

  /** Cells of a table whose cells may be quoted, row by row; some spreadsheets separate them by semicolons. */
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

  /** The inverse of `cell`. */
  const plain = (text) => (/^'+[=+\-@\t\r]/.test(text) ? text.slice(1) : text);

  /** Rows as objects; throws an error with a message for the reader where the table is not valid. */
  function savedRows(text) {
    const [first, ...rows] = rowsOf(text.replace(/^\ufeff/, ""));
    const header = (first ?? []).map((name) => EARLIER.columns[name] ?? name);
    const missing = COLUMNS.filter((name) => !header.includes(name) && !NEW_COLUMNS.includes(name));
    if (missing.length > 0) throw new Error("This is not a verdicts.csv that was saved here.");
    const found = rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? ""])));
    const unknown = found.find((row) => row.schema !== SCHEMA && !EARLIER.schemas.includes(row.schema));
    if (unknown) throw new Error(`Expected verdicts of ${SCHEMA}, found ${unknown.schema || "no version"}.`);
    const changed = found.find((row) => !TIME.test(row.time));
    if (changed) throw new Error(`Expected times such as 2026-01-31T09:30:00Z, as they were saved; found ${changed.time || "none"}.`);
    return found;
  }

  /** Whose verdicts to load: the current reader's, or those of the only reader in the table. */
  function readerOf(rows) {
    const named = [...new Set(rows.map((row) => plain(row.reader)))];
    if (ink.verdicts.reader() !== "") return ink.verdicts.reader();
    if (named.length !== 1) throw new Error("Enter the reader's name first: this table has verdicts of several readers.");
    ink.verdicts.setReader(named[0]);
    ink.at("reader").value = named[0];
    return named[0];
  }

  /** Whether a row holds an answer that is asked here. */
  function known(row, kind) {
    if (row.head === "") return true;
    if (kind === "region") return ink.asked.some((head) => head.name === row.head && head.verdicts.some((verdict) => verdict.name === row.verdict));
    if (row.head === ink.ADEQUACY) return ["adequate", "inadequate"].includes(row.verdict);
    if (row.head === ink.CATEGORY) return plain(row.verdict) !== "" && plain(row.verdict).length <= 60;
    return row.head === ink.MISSED && ink.facts.missed_verdicts.includes(row.verdict);
  }

  /** The key of what a row is about; undefined where that is not on this page. */
  function keyOfRow(row, kind, regions) {
    const slide = ink.facts.slides.find((other) => other.id === plain(row.slide_id));
    if (!slide || kind === "region") return regions.get(JSON.stringify([plain(row.slide_id), row.geometry]));
    return kind === "slide" ? ink.slideKey(slide) : ink.missedKey(slide, row.geometry);
  }

  /** Entries by key, from the rows that belong to this page and this reader. */
  function entriesOf(rows, reader) {
    const regions = new Map();
    for (const slide of ink.facts.slides.filter(ink.known)) for (const region of slide.regions) regions.set(JSON.stringify([slide.id, region.polygon]), ink.regionKey(slide, region));
    const shown = ink.blinded ? ["blinded", String(ink.facts.blinded_seed)] : ["scores", ""];
    const entries = new Map();
    const ignored = new Map(); // reason -> number of rows
    for (const row of rows) {
      const kind = row.kind || "region";
      const key = keyOfRow(row, kind, regions);
      let reason = "";
      if (plain(row.reader) !== reader) reason = "of another reader";
      else if (row.model_sha256 !== ink.facts.model_sha256) reason = "on another model's regions";
      else if (row.shown !== shown[0] || row.order_seed !== shown[1]) reason = "of another reader study";
      else if (key === undefined) reason = "on regions that are not on this page";
      else if (!known(row, kind)) reason = "of other heads";
      if (reason !== "") {
        ignored.set(reason, (ignored.get(reason) ?? 0) + 1);
        continue;
      }
      const entry = entries.get(key) ?? { verdicts: {}, note: null };
      if (row.head !== "") entry.verdicts[row.head] = { verdict: plain(row.verdict), ...(row.means ? { means: row.means } : {}), time: row.time };
      if (row.note !== "") entry.note = { text: plain(row.note), time: row.time };
      entries.set(key, entry);
    }
    return { entries, ignored };
  }

  /** Load a saved verdicts.csv. */
  ink.loadVerdicts = async function (file) {
    try {
      const rows = savedRows(await file.text());
      const named = new Set(rows.map((row) => plain(row.slide_id)));
      for (const slide of ink.facts.slides) if (named.has(slide.id)) await ink.fetchRegions(slide);
      const { entries, ignored } = entriesOf(rows, readerOf(rows));
      const changed = ink.verdicts.merge(entries);
      const others = [...ignored].map(([reason, count]) => `${ink.counted(count, "line", "lines")} ${reason}`).join(", ");
      const what = [...entries.keys()].some(ink.answerOf) ? ["region or slide", "regions and slides"] : ["region", "regions"];
      ink.announce(`Verdicts on ${ink.counted(changed, ...what)} loaded.${others && ` Ignored: ${others}.`}`);
    } catch (error) {
      ink.announce(error.message);
    }
  };
})(Inkdot);
