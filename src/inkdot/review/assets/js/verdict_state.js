// What the reader said: kept per reader and region, undone step by step, remembered by the browser, or by a server
// where inkdot.serve has put its store before this script (ink.store: reader, load, save, steps, unsaved).
"use strict";

(function (ink) {
  const PREFIX = `inkdot/1/${ink.facts.review_id}/`;
  const RESERVED = new Set(["z", "n", "o"]);
  let kept = true; // whether the browser keeps what is written
  let reader = "";
  let entries = new Map(); // region key -> {verdicts: {head: {verdict, time}}, note: {text, time} | null}
  let steps = []; // for undo: {key, before}
  const listeners = [];

  ink.regionKey = (slide, region) => (region.key ??= JSON.stringify([slide.id, region.x_l0_px, region.y_l0_px]));

  /** One key per verdict: its first letter, else its next free one, else a digit. */
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
      claim(item, [...item.verdict.toLowerCase(), ..."123456789abcdefghijklmopqrstuvwxy"]);
    }
    return keys;
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
      const trouble = ink.at("trouble");
      trouble.textContent = "This browser keeps nothing between visits here: save your verdicts before you close the page.";
      trouble.hidden = false;
    }
  }

  function recall(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  }

  const settings = new Map(); // what was set here, for a browser that keeps nothing

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
    const start = `${PREFIX}${encodeURIComponent(who)}/`;
    try {
      for (let index = 0; index < localStorage.length; index += 1) {
        const name = localStorage.key(index);
        if (!name.startsWith(start)) continue;
        const entry = parsed(localStorage.getItem(name));
        if (entry) found.set(name.slice(start.length), entry);
      }
    } catch {
      remember("inkdot/1/probe", null);
    }
    return found;
  }

  function parsed(text) {
    try {
      const entry = JSON.parse(text);
      return entry?.verdicts && typeof entry.verdicts === "object" ? entry : null;
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

  /** What stands at a region when saved verdicts are added: of each question, and of the note, the later word. */
  function merged(before, saved) {
    const after = copyOf(before);
    for (const [head, given] of Object.entries(saved.verdicts)) {
      if (!after.verdicts[head] || after.verdicts[head].time < given.time) after.verdicts[head] = given;
    }
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
    /** Whether closing the page would lose verdicts: those a server has not got yet, or that a browser does not keep. */
    wouldBeLost() {
      return (ink.store !== undefined || !kept) && this.unsaved();
    },
    saved: () => ink.setting.write(unsavedName(), "no"),

    /** Readers do not see each other's verdicts. What was reviewed before a name was given goes to the first name. */
    become(name) {
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

    /** Whether a question may be asked of this region: its condition is reviewed with the class it names. */
    open(key, head) {
      if (head.condition === null) return true;
      return ink.openingVerdicts(head).includes(this.verdict(key, head.condition[0]));
    },

    give(key, head, verdict) {
      change(key, (entry) => {
        if (entry.verdicts[head.name]?.verdict === verdict) return;
        entry.verdicts[head.name] = { verdict, time: new Date().toISOString() };
        for (const other of ink.facts.heads) {
          const unmet = other.condition !== null && other.condition[0] === head.name && !ink.openingVerdicts(other).includes(verdict);
          if (unmet) delete entry.verdicts[other.name];
        }
      });
    },

    clear(key) {
      change(key, (entry) => {
        entry.verdicts = {};
      });
    },

    write(key, text) {
      const trimmed = text.trim();
      change(key, (entry) => {
        if (trimmed === (entry.note?.text ?? "")) return;
        entry.note = trimmed === "" ? null : { text: trimmed, time: new Date().toISOString() };
      });
    },

    /** Take over verdicts that were saved earlier, a map of entries by region; returns at how many regions something changed. */
    take(found) {
      let taken = 0;
      for (const [key, saved] of found) {
        const before = copyOf(entries.get(key));
        const after = merged(before, saved);
        if (JSON.stringify(before) === JSON.stringify(after)) continue;
        steps.push({ key, before });
        put(key, after);
        taken += 1;
      }
      for (const run of listeners) run(null);
      return taken;
    },

    /** Take the last step back; returns the key of the region it concerned. */
    undo() {
      const step = steps.pop();
      if (!step) return null;
      write(step.key, step.before, true);
      return step.key;
    },
  };

  // The same review in another tab: take over what was reviewed there.
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
