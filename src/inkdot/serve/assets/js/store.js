// Sends verdicts to the server, which writes them to disk before it acknowledges, and fetches the regions of a slide
// when it is opened. Runs before verdict_state.js.
"use strict";

(function (ink) {
  const served = ink.facts.served;

  // The page holds the keys of all regions; what the cards show is fetched slide by slide.
  for (const slide of ink.facts.slides) slide.regions = slide.region_keys.map((key) => ({ key }));

  /** Whether a slide's regions are loaded. */
  ink.known = (slide) => slide.known === true || slide.regions.length === 0;

  /** Fetch the regions of a slide; resolves to whether they are loaded. */
  ink.fetchRegions = async function (slide) {
    if (ink.known(slide)) return true;
    try {
      const reply = await fetch(`slides/${slide.view.slide}/regions`);
      if (!reply.ok) throw new Error(reply.statusText);
      const regions = await reply.json();
      if (!slide.known) slide.regions = regions; // of two requests the first reply stays: cards refer to it
      slide.known = true;
      return true;
    } catch {
      showAlert("The regions of this slide could not be loaded: the server does not respond. Reload this page when it is running again.");
      return false;
    }
  };

  const waiting = []; // changes that the server has not acknowledged, oldest first
  const PAUSES_MS = [500, 1000, 2000, 4000];
  const TROUBLE_AFTER = 2; // failures in a row before an alert is shown
  let pageKey = served.page_key;
  let sending = false;
  let failures = 0;
  let refusal = ""; // the server's message about a change that it refused

  ink.store = {
    reader: served.reader,
    load: () => new Map(Object.entries(served.entries)),
    steps: () => served.steps.map((step) => ({ ...step })),
    unsaved: () => waiting.length > 0,

    save(key, entry, isUndo) {
      const verdicts = Object.fromEntries(Object.entries(entry.verdicts).map(([head, entered]) => [head, entered.verdict]));
      waiting.push({ key, verdicts, note: entry.note?.text ?? "", undo: isUndo });
      send();
    },
  };

  const post = (change) =>
    fetch("verdicts", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Inkdot-Page": pageKey },
      body: JSON.stringify(change),
      keepalive: true, // a change made while the page closes still arrives
    });

  /** Send the changes in order, each until it is acknowledged. Sending the same state twice changes nothing. */
  async function send() {
    if (sending) return;
    sending = true;
    while (waiting.length > 0) {
      const outcome = await attempt(waiting[0]);
      if (outcome === "kept" || outcome === "refused") waiting.shift();
      if (outcome === "kept") {
        if (failures > 0) ink.at("alert").hidden = true;
        failures = 0;
      } else if (outcome === "refused") showAlert(`${refusal}. Reload this page.`);
      else {
        failures += 1;
        showFailure(outcome);
        await new Promise((resume) => setTimeout(resume, PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1]));
      }
      ink.showProgress?.();
    }
    sending = false;
  }

  async function attempt(change) {
    try {
      const reply = await post(change);
      if (reply.ok) return "kept";
      refusal = await reply.text();
      if (reply.status === 401 || reply.status === 403) return (await freshPageKey()) ? "again" : "unknown";
      return reply.status < 500 ? "refused" : "failed"; // for a reason such as a full disk
    } catch {
      return "unreachable";
    }
  }

  /** After a restart with other tokens this page's key is invalid; a reader who logged in again gets a new one. */
  async function freshPageKey() {
    const reply = await fetch("page-key");
    if (!reply.ok) return false;
    const known = await reply.json();
    if (known.reader !== served.reader) return false;
    pageKey = known.page_key;
    return true;
  }

  function showFailure(outcome) {
    if (failures < TROUBLE_AFTER) return;
    const count = ink.counted(waiting.length, "verdict is", "verdicts are");
    const causes = {
      unknown: "Your login is no longer valid: open your address again in another tab.",
      unreachable: "The server does not respond.",
    };
    const cause = causes[outcome] ?? `The server reports: ${refusal}.`;
    showAlert(`${count} not saved yet. ${cause} Leave this page open; it tries again automatically.`);
  }

  function showAlert(text) {
    const alert = ink.at("alert");
    alert.textContent = text;
    alert.hidden = false;
  }
})(Inkdot);
