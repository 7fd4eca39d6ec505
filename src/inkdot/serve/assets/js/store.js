// Verdicts on their way to the server, which keeps them for good before it acknowledges; and the regions of a slide on
// their way from it, when the slide is opened. Runs before verdicts.js.
"use strict";

(function (ink) {
  const served = ink.facts.served;

  // Of thousands of slides the page knows how their regions are called; what a card says is asked for slide by slide.
  for (const slide of ink.facts.slides) slide.regions = slide.region_keys.map((key) => ({ key }));

  /** Whether everything is known of a slide's regions. */
  ink.known = (slide) => slide.known === true || slide.regions.length === 0;

  /** Ask for what the cards of a slide say; resolves to whether it came. */
  ink.fetchRegions = async function (slide) {
    if (ink.known(slide)) return true;
    try {
      const reply = await fetch(`slides/${slide.view.slide}/regions`);
      if (!reply.ok) throw new Error(reply.statusText);
      const regions = await reply.json();
      if (!slide.known) slide.regions = regions; // asked for twice, the first to come stays: cards refer to it
      slide.known = true;
      return true;
    } catch {
      tell("The regions of this slide did not come: the server does not verdict. Load this page again when it is back.");
      return false;
    }
  };

  const waiting = []; // changes that the server has not acknowledged, oldest first
  const PAUSES_MS = [500, 1000, 2000, 4000];
  const TROUBLE_AFTER = 2; // failures in a row before the reader is told
  let pageKey = served.page_key;
  let sending = false;
  let failures = 0;
  let refusal = ""; // what the server said of a change that it did not take

  ink.store = {
    reader: served.reader,
    load: () => new Map(Object.entries(served.entries)),
    steps: () => served.steps.map((step) => ({ ...step })),
    unsaved: () => waiting.length > 0,

    save(key, entry, isUndo) {
      const verdicts = Object.fromEntries(Object.entries(entry.verdicts).map(([head, given]) => [head, given.verdict]));
      waiting.push({ key, verdicts, note: entry.note?.text ?? "", undo: isUndo });
      send();
    },
  };

  const post = (change) =>
    fetch("verdicts", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Inkdot-Page": pageKey },
      body: JSON.stringify(change),
      keepalive: true, // what is written as the page goes still arrives
    });

  /** One change after the other, in order, each until it is acknowledged. The same state sent twice changes nothing. */
  async function send() {
    if (sending) return;
    sending = true;
    while (waiting.length > 0) {
      const outcome = await tried(waiting[0]);
      if (outcome === "kept" || outcome === "refused") waiting.shift();
      if (outcome === "kept") {
        if (failures > 0) ink.at("trouble").hidden = true;
        failures = 0;
      } else if (outcome === "refused") tell(`${refusal}. Load this page again.`);
      else {
        failures += 1;
        showTrouble(outcome);
        await new Promise((resume) => setTimeout(resume, PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1]));
      }
      ink.showProgress?.();
    }
    sending = false;
  }

  async function tried(change) {
    try {
      const reply = await post(change);
      if (reply.ok) return "kept";
      refusal = await reply.text();
      if (reply.status === 401 || reply.status === 403) return (await freshPageKey()) ? "again" : "unknown";
      return reply.status < 500 ? "refused" : "troubled"; // by trouble of its own, such as a full disk
    } catch {
      return "unreachable";
    }
  }

  /** After a restart with other tokens this page's key is no longer good; whoever logged in anew gets another. */
  async function freshPageKey() {
    const reply = await fetch("page-key");
    if (!reply.ok) return false;
    const known = await reply.json();
    if (known.reader !== served.reader) return false;
    pageKey = known.page_key;
    return true;
  }

  function showTrouble(outcome) {
    if (failures < TROUBLE_AFTER) return;
    const count = ink.counted(waiting.length, "verdict is", "verdicts are");
    const causes = {
      unknown: "The server does not know you any more: open your address again in another tab.",
      unreachable: "The server does not verdict.",
    };
    const cause = causes[outcome] ?? `The server says: ${refusal}.`;
    tell(`${count} not kept yet. ${cause} Leave this page open; it tries again by itself.`);
  }

  function tell(words) {
    const trouble = ink.at("trouble");
    trouble.textContent = words;
    trouble.hidden = false;
  }
})(Inkdot);
