// Write and read verdicts.csv: one row per verdict, with the region as a level-0 polygon and whether scores were shown.
"use strict";

(function (ink) {
  const COLUMNS = [
    "slide_id", "geometry", "head", "verdict", "reader", "time", "shown", "rank", "score", "note", "model_sha256", "order_seed", "schema",
  ];
  const SCHEMA = "inkdot.verdicts/2";
  const EARLIER = { schema: "inkdot.verdicts/1", columns: { place: "geometry", answer: "verdict" } }; // read as well
  const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/; // of two verdicts the later counts

  /** A cell that no spreadsheet runs as a formula (an apostrophe in front makes it text), quoted where needed. */
  function cell(value) {
    const text = String(value);
    const safe = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  }

  function lines(slide, region, entry) {
    const shown = [ink.blinded ? "blinded" : "scores", region.rank, ink.blinded ? "" : region.score];
    const tail = [entry.note?.text ?? "", ink.facts.model_sha256, ink.blinded ? ink.facts.blinded_seed : "", SCHEMA];
    const withVerdict = ink.asked.filter((head) => entry.verdicts[head.name]);
    const rows = withVerdict.map((head) => {
      const { verdict, time } = entry.verdicts[head.name];
      return [slide.id, region.polygon, head.name, verdict, ink.verdicts.reader(), time, ...shown, ...tail];
    });
    if (rows.length === 0 && entry.note) {
      rows.push([slide.id, region.polygon, "", "", ink.verdicts.reader(), entry.note.time, ...shown, ...tail]);
    }
    return rows;
  }

  ink.verdictsCsv = function () {
    const rows = [COLUMNS];
    for (const slide of ink.facts.slides) {
      for (const region of slide.regions) {
        const entry = ink.verdicts.entry(ink.regionKey(slide, region));
        if (entry) rows.push(...lines(slide, region, entry));
      }
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
    const missing = COLUMNS.filter((name) => !header.includes(name));
    if (missing.length > 0) throw new Error("This is not a verdicts.csv that was saved here.");
    const found = rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? ""])));
    const unknown = found.find((row) => row.schema !== SCHEMA && row.schema !== EARLIER.schema);
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

  /** Entries by region key, from the rows that belong to this page and this reader. */
  function entriesOf(rows, reader) {
    const regions = new Map();
    for (const slide of ink.facts.slides.filter(ink.known)) for (const region of slide.regions) regions.set(JSON.stringify([slide.id, region.polygon]), ink.regionKey(slide, region));
    const known = (row) => row.head === "" || ink.asked.some((head) => head.name === row.head && head.verdicts.some((verdict) => verdict.name === row.verdict));
    const shown = ink.blinded ? ["blinded", String(ink.facts.blinded_seed)] : ["scores", ""];
    const entries = new Map();
    const ignored = new Map(); // reason -> number of rows
    for (const row of rows) {
      const key = regions.get(JSON.stringify([plain(row.slide_id), row.geometry]));
      let reason = "";
      if (plain(row.reader) !== reader) reason = "of another reader";
      else if (row.model_sha256 !== ink.facts.model_sha256) reason = "on another model's regions";
      else if (row.shown !== shown[0] || row.order_seed !== shown[1]) reason = "of another reader study";
      else if (key === undefined) reason = "on regions that are not on this page";
      else if (!known(row)) reason = "of other heads";
      if (reason !== "") {
        ignored.set(reason, (ignored.get(reason) ?? 0) + 1);
        continue;
      }
      const entry = entries.get(key) ?? { verdicts: {}, note: null };
      if (row.head !== "") entry.verdicts[row.head] = { verdict: row.verdict, time: row.time };
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
      ink.announce(`Verdicts on ${ink.counted(changed, "region", "regions")} loaded.${others && ` Ignored: ${others}.`}`);
    } catch (error) {
      ink.announce(error.message);
    }
  };
})(Inkdot);
