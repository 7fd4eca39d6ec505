// The reader's verdicts: kept per reader and region, with undo, in the browser's storage; or by a server where
// inkdot.serve has set its store before this script (ink.store: reader, load, save, steps, unsaved).
"use strict";

(function (ink) {
  const PREFIX = `inkdot/1/${ink.facts.review_id}/`;
  const STORED = /^inkdot\/1\/([^/]+)\/([^/]*)\/(\[.*)$/s; // review, reader, region key
  const RESERVED = new Set(["z", "n", "o"]);
  let kept = true; // whether the browser keeps what is written
  let reader = "";
  let entries = new Map(); // region key -> {verdicts: {head: {verdict, time}}, note: {text, time} | null}
  let steps = []; // for undo: {key, before}
  const listeners = [];

  ink.regionKey = (slide, region) => (region.key ??= JSON.stringify([slide.id, region.x_l0_px, region.y_l0_px]));

  /** One key per verdict: its first letter, else its next free one, else a digit, last those that magnify (context.js). "Not a cell" has d, for debris, if it is free. */
  ink.verdictKeys = (function () {
    const all = ink.facts.heads.flatMap((head) => head.verdicts.map((verdict) => ({ head, verdict: verdict.name })));
    const taken = new Set(RESERVED);
    const keys = new Map();
    const claim = (item, letters) => {
      const letter = letters.find((sign) => /[a-z0-9]/.test(sign) && !taken.has(sign));
      if (letter === undefined) return;
      taken.add(letter);
      keys.set(letter, item);
    };
    for (const item of all) claim(item, [item.verdict[0].toLowerCase()]);
    for (const item of all) {
      if ([...keys.values()].includes(item)) continue;
      claim(item, [...item.verdict.toLowerCase(), ..."356789abcdefghijklmopqrstuvwxy124"]);
    }
    claim({ head: ink.finder, verdict: ink.finder.verdicts[0].name }, [..."d0356789cefghjkpqrtvwy124"]);
    return keys;
  })();

  /** Keys of what is done about the slide, where no verdict has them: w, the answer of the whole slide; k, mark something missed. */
  ink.slideKeys = (function () {
    const free = [..."wkcefghjpqrtvy"].filter((letter) => !ink.verdictKeys.has(letter));
    return { answer: free[0] ?? "", missed: free[1] ?? "" };
  })();

  ink.keyOf = function (headName, verdict) {
    for (const [key, item] of ink.verdictKeys) if (item.head.name === headName && item.verdict === verdict) return key;
    return "";
  };

  const storageName = (who, key) => `${PREFIX}${encodeURIComponent(who)}/${key}`;

  function remember(name, value) {
    try {
      if (value === null) localStorage.removeItem(name);
      else localStorage.setItem(name, value);
    } catch {
      if (!kept) return;
      kept = false;
      banner("This browser does not store data for this page: save your verdicts before you close it.");
    }
  }

  /** Show a line above the page, or none. */
  function banner(text) {
    ink.at("alert").textContent = text;
    ink.at("alert").hidden = text === "";
  }

  function recall(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  }

  const settings = new Map(); // for a browser that stores nothing

  ink.setting = {
    read: (name) => (!kept && settings.has(name) ? settings.get(name) : recall(`inkdot/1/setting/${name}`)),
    write(name, value) {
      settings.set(name, value);
      remember(`inkdot/1/setting/${name}`, value);
    },
  };

  function load(who) {
    if (ink.store) return ink.store.load();
    const found = new Map();
    const slides = ink.facts.slides.map((slide) => JSON.stringify([slide.id]).replace(/]$/, ","));
    let elsewhere = 0; // regions of these slides on another page: of other tiles, another model or another order
    try {
      for (const name of Object.keys(localStorage)) {
        const [, review, owner, key] = STORED.exec(name) ?? [];
        if (owner !== encodeURIComponent(who)) continue;
        const entry = parsed(localStorage.getItem(name));
        if (entry && review === ink.facts.review_id) found.set(key, entry);
        else if (entry && slides.some((start) => key.startsWith(start))) elsewhere += 1;
      }
    } catch {
      remember("inkdot/1/probe", null);
    }
    const regions = ink.counted(elsewhere, "region", "regions");
    const line = `This browser has your verdicts on ${regions} of these slides from another export. To use those of the same model here, save verdicts.csv on that page and load it.`;
    if (kept) banner(elsewhere > 0 && found.size === 0 && !ink.blinded ? line : "");
    return found;
  }

  /** An entry as the browser keeps it, or null. Earlier versions stored {answers: {head: {answer, time}}}: it is renamed. */
  function parsed(text) {
    try {
      const { answers, ...entry } = JSON.parse(text);
      if (answers && !entry.verdicts) {
        const renamed = Object.entries(answers).map(([head, { answer, ...rest }]) => [head, { verdict: answer, ...rest }]);
        entry.verdicts = Object.fromEntries(renamed);
      }
      return entry.verdicts && typeof entry.verdicts === "object" ? entry : null;
    } catch {
      return null;
    }
  }

  function write(key, entry, isUndo) {
    put(key, entry, isUndo);
    for (const run of listeners) run(key);
  }

  function put(key, entry, isUndo) {
    const empty = Object.keys(entry.verdicts).length === 0 && !entry.note;
    if (empty) entries.delete(key);
    else entries.set(key, entry);
    if (ink.store) {
      ink.store.save(key, entry, isUndo === true);
    } else {
      remember(storageName(reader, key), empty ? null : JSON.stringify(entry));
      ink.setting.write(unsavedName(), "yes");
    }
  }

  const unsavedName = () => `unsaved/${ink.facts.review_id}/${encodeURIComponent(reader)}`;

  const copyOf = (entry) => JSON.parse(JSON.stringify(entry || { verdicts: {}, note: null }));

  function change(key, edit) {
    const before = copyOf(entries.get(key));
    const after = copyOf(before);
    edit(after);
    if (JSON.stringify(before) === JSON.stringify(after)) return;
    steps.push({ key, before });
    write(key, after);
  }

  /** A region's entry after saved verdicts are added: for each head, between a class and "not a cell", and for the note, the later one wins. */
  function merged(before, saved) {
    const after = copyOf(before);
    for (const [head, loaded] of Object.entries(saved.verdicts)) {
      if (!after.verdicts[head] || after.verdicts[head].time < loaded.time) after.verdicts[head] = loaded;
    }
    const { [ink.finder.name]: noCell, ...classes } = after.verdicts;
    const ofClasses = Object.values(classes).map((verdict) => verdict.time);
    if (noCell && ofClasses.length > 0) after.verdicts = ofClasses.every((time) => time <= noCell.time) ? { [ink.finder.name]: noCell } : classes;
    ink.oneOfTwo(after.verdicts, null);
    if (saved.note && (!after.note || after.note.time < saved.note.time)) after.note = saved.note;
    for (const head of ink.facts.heads.filter((one) => one.condition !== null)) {
      if (!ink.openingVerdicts(head).includes(after.verdicts[head.condition[0]]?.verdict)) delete after.verdicts[head.name];
    }
    return after;
  }

  ink.verdicts = {
    onChange: (run) => listeners.push(run),
    entry: (key) => entries.get(key) || null,
    verdict: (key, headName) => entries.get(key)?.verdicts[headName]?.verdict ?? null,
    note: (key) => entries.get(key)?.note?.text ?? "",
    reader: () => reader,
    all: () => entries,
    canUndo: () => steps.length > 0,
    unsaved: () => (ink.store ? ink.store.unsaved() : entries.size > 0 && ink.setting.read(unsavedName()) !== "no"),
    /** Whether closing the page would lose verdicts: not yet on the server, or not stored by the browser. */
    wouldBeLost() {
      return (ink.store !== undefined || !kept) && this.unsaved();
    },
    saved: () => ink.setting.write(unsavedName(), "no"),

    /** Switch to a reader's own verdicts. What was reviewed before a name was entered goes to the first name. */
    setReader(name) {
      const nameless = reader === "" ? entries : new Map();
      reader = ink.store ? ink.store.reader : name;
      steps = ink.store ? ink.store.steps() : [];
      entries = load(reader);
      if (!ink.store && name !== "" && entries.size === 0) {
        for (const [key, entry] of nameless) {
          remember(storageName("", key), null);
          write(key, entry);
        }
      }
      if (!ink.store) ink.setting.write("reader", name);
      for (const run of listeners) run(null);
    },

    /** Whether a head applies to a region: the verdict it depends on means the required class. */
    applies(key, head) {
      if (head.condition === null) return true;
      return ink.openingVerdicts(head).includes(this.verdict(key, head.condition[0]));
    },

    set(key, head, verdict) {
      change(key, (entry) => {
        if (entry.verdicts[head.name]?.verdict === verdict) return;
        if (head === ink.finder) entry.verdicts = {};
        else delete entry.verdicts[ink.finder.name];
        entry.verdicts[head.name] = { verdict, time: new Date().toISOString() };
        for (const other of ink.facts.heads) {
          const unmet = other.condition !== null && other.condition[0] === head.name && !ink.openingVerdicts(other).includes(verdict);
          if (unmet) delete entry.verdicts[other.name];
        }
      });
    },

    /** Change an entry by a function; one step for undo. */
    edit: (key, run) => change(key, run),

    clear(key) {
      change(key, (entry) => {
        entry.verdicts = {};
      });
    },

    setNote(key, text) {
      const trimmed = text.trim();
      change(key, (entry) => {
        if (trimmed === (entry.note?.text ?? "")) return;
        entry.note = trimmed === "" ? null : { text: trimmed, time: new Date().toISOString() };
      });
    },

    /** Add verdicts that were saved earlier, entries by region key; returns how many regions changed. */
    merge(found) {
      let changed = 0;
      for (const [key, saved] of found) {
        const before = copyOf(entries.get(key));
        const after = merged(before, saved);
        if (JSON.stringify(before) === JSON.stringify(after)) continue;
        steps.push({ key, before });
        put(key, after);
        changed += 1;
      }
      for (const run of listeners) run(null);
      return changed;
    },

    /** Undo the last step; returns the key of its region, or null. */
    undo() {
      const step = steps.pop();
      if (!step) return null;
      write(step.key, step.before, true);
      return step.key;
    },
  };

  // The same review in another tab: show its changes here.
  window.addEventListener("storage", (event) => {
    const start = `${PREFIX}${encodeURIComponent(reader)}/`;
    if (event.key === null || !event.key.startsWith(start)) return;
    const key = event.key.slice(start.length);
    const entry = event.newValue === null ? null : parsed(event.newValue);
    if (entry) entries.set(key, entry);
    else entries.delete(key);
    for (const run of listeners) run(key);
  });
})(Inkdot);
