// What is open, what happens on a key, and how the parts are kept in step.
"use strict";

(function (ink) {
  const slides = ink.facts.slides;
  const state = { slide: 0, requested: 0, page: 0, filter: "all", sort: "rank", current: null, visible: [], printing: false };
  const slide = () => slides[state.slide];
  const dialog = ink.at("context");
  let leaving = false;
  const plainHelp = ink.showHelp;

  ink.showHelp = function () {
    plainHelp();
    ink.addHelp(ink.at("help"));
  };

  function shown() {
    if (state.printing) return state.visible;
    return state.visible.slice(state.page * ink.pageSize, (state.page + 1) * ink.pageSize);
  }

  /** Choose which regions are listed. Not done after each verdict: the list must not jump under the reader. */
  function list(keepPage) {
    state.visible = ink.listed(slide(), state.filter, state.sort);
    if (!keepPage) state.page = 0;
    if (!shown().includes(state.current)) state.current = shown()[0] || null;
  }

  const actions = {
    open(item) {
      attend(item);
      openContext();
    },
    attend,
    go(item) {
      const index = state.visible.indexOf(item);
      if (index < 0) {
        state.filter = "all";
        list(false);
      }
      state.page = Math.floor(state.visible.indexOf(item) / ink.pageSize);
      state.current = item;
      paint();
      focusCard();
    },
    choose(item, head, verdict) {
      attend(item);
      choose(head, verdict);
    },
    close: closeContext,
  };

  function attend(item) {
    if (item === state.current) return;
    const before = state.current;
    state.current = item;
    // Marked, not redrawn: a button that is pressed must still exist when it is released.
    for (const other of [before, item]) if (other) markCard(other);
    ink.showOverview(slide(), item, actions);
  }

  function markCard(item) {
    const node = cardNode(item);
    if (!node) return;
    node.classList.toggle("current", item === state.current);
    for (const stop of node.querySelectorAll("[tabindex]")) stop.tabIndex = item === state.current ? 0 : -1;
  }

  const cardNode = (item) => ink.at("cards").querySelector(`[data-rank="${item.rank}"]`);

  /** Redraw a card and keep the keyboard focus where it was in it. */
  function repaintCard(item) {
    const old = cardNode(item);
    if (!old) return;
    const active = document.activeElement;
    const inside = item === state.current && old.contains(active) ? active : null;
    const fresh = ink.card(slide(), item, actions, item === state.current);
    // An unchanged card stays: it may be about to be clicked (leaving the reader's field redraws all cards).
    if (old.isEqualNode(fresh)) return;
    // The loaded image moves over, so that nothing flickers.
    const image = old.querySelector(".image");
    if (image) fresh.querySelector(".image").replaceWith(image);
    old.replaceWith(fresh);
    if (!inside) return;
    const same = inside.dataset.verdict
      ? fresh.querySelector(`[data-head="${inside.dataset.head}"][data-verdict="${inside.dataset.verdict}"]`)
      : fresh.querySelector(inside.classList.contains("open") ? ".open" : "article");
    same?.focus({ preventScroll: true });
  }

  function focusCard() {
    if (!state.current) return;
    const article = cardNode(state.current)?.querySelector("article");
    article?.focus({ preventScroll: true });
    article?.scrollIntoView({ block: "nearest" });
  }

  function paint() {
    const items = shown().map((item) => ink.card(slide(), item, actions, item === state.current));
    if (items.length === 0 && slide().regions.length > 0) items.push(ink.make("li", { class: "empty", text: "No region matches the filter." }));
    ink.at("cards").replaceChildren(...items);
    ink.showControls(slide(), state, relist);
    ink.showPages(state, turn);
    ink.showOverview(slide(), state.current, actions);
  }

  function relist(name, value) {
    state[name] = value;
    list(false);
    const byKeyboard = ink.at(name).matches(":focus-visible");
    paint();
    // After a mouse click the next key is meant for the regions, not for the list of choices.
    if (byKeyboard) ink.at(name).focus();
    else focusCard();
  }

  function turn(page) {
    state.page = page;
    state.current = shown()[0] || null;
    paint();
    window.scrollTo({ top: 0 });
    focusCard();
  }

  /** Open a slide, at once where its regions are known; resolves when it is open. */
  async function openSlide(index, focus) {
    if (!slides[index]) return;
    state.requested = index;
    if (!ink.known(slides[index]) && (!(await ink.fetchRegions(slides[index])) || state.requested !== index)) return;
    state.slide = index;
    state.current = null;
    list(false);
    ink.showSlides(index, (other) => openSlide(other, false));
    ink.showHead(slide());
    ink.showSlideAnswer(slide());
    paint();
    document.title = `${slide().id} – Inkdot review`;
    if (ink.placeOf(location.hash)[0] !== index) remember(ink.placeHash(slide(), null));
    window.scrollTo({ top: 0 });
    ink.at("slides").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
    if (focus) focusCard();
    if (slides[index + 1] && !ink.known(slides[index + 1])) ink.fetchRegions(slides[index + 1]); // most likely the next
  }

  /** Open the slide, and the region if any, that an address leads to. */
  async function openPlace(hash) {
    const [index, rank] = ink.placeOf(hash);
    await openSlide(slides[index] ? index : 0, false);
    const region = rank === null ? undefined : slide().regions.find((other) => other.rank === rank);
    if (!region) return;
    actions.go(region);
    openContext();
  }

  /** Put the slide into the address, so that a reload comes back to it; some browsers refuse that for files. */
  function remember(hash) {
    try {
      history.replaceState(null, "", hash);
    } catch {
      // The page works without.
    }
  }

  const contextActions = {
    go: (by) => step(by),
    choose: (head, verdict) => choose(head, verdict),
    note: (text) => ink.verdicts.setNote(ink.regionKey(slide(), state.current), text),
    close: closeContext,
  };

  function openContext() {
    if (!state.current) return;
    ink.showContext(slide(), state.current, contextActions);
    remember(ink.placeHash(slide(), state.current));
  }

  /** Move the focus back to the card at once: a key may come before the dialog's own `close` event. */
  function closeContext() {
    if (dialog.contains(document.activeElement)) document.activeElement.blur(); // a note is written when its field loses focus, and redraws its card
    ink.hideContext();
    remember(ink.placeHash(slide(), null));
    focusCard();
  }

  ink.closeEnlarged = closeContext;

  function step(by) {
    const index = state.visible.indexOf(state.current) + by;
    const next = state.visible[index];
    if (!next) {
      ink.announce(by > 0 ? "This was the last region." : "This is the first region.");
      return;
    }
    const page = Math.floor(index / ink.pageSize);
    if (page !== state.page) {
      state.page = page;
      state.current = next;
      paint();
    } else {
      attend(next);
    }
    if (dialog.open) openContext();
    else focusCard();
  }

  function choose(head, verdict) {
    const key = ink.regionKey(slide(), state.current);
    if (!ink.verdicts.applies(key, head)) {
      ink.announce(ink.conditionWords(head));
      return;
    }
    ink.verdicts.set(key, head, verdict);
    const rest = ink.facts.heads.filter((other) => ink.verdicts.applies(key, other) && ink.verdicts.verdict(key, other.name) === null);
    ink.announce(`Region ${state.current.rank}: ${ink.verdictWords(key)}`);
    if ((head === ink.finder || rest.length === 0) && ink.advances()) step(1);
  }

  function writeNote() {
    if (!dialog.open) openContext();
    ink.at("note")?.focus();
  }

  async function undo() {
    const key = ink.verdicts.undo();
    if (key === null) {
      ink.announce("Nothing to undo.");
      return;
    }
    const about = ink.answerOf(key);
    const index = slides.indexOf(about ? about.slide : ink.slideOf(key));
    if (index !== state.slide) await openSlide(index, false);
    if (index !== state.slide) return; // its regions could not be loaded; a message says so
    if (!about) {
      actions.go(slide().regions.find((other) => ink.regionKey(slide(), other) === key));
      if (dialog.open) openContext();
    }
    ink.announce(about ? `Undone: ${about.kind === "slide" ? "your answer for the slide" : "something missed"}.` : "Undone.");
  }

  /** Move to another card, or a row up or down; from above a short last row to its last card. */
  function move(by) {
    const index = state.visible.indexOf(state.current);
    const last = state.visible.length - 1;
    if (Math.abs(by) > 1 && index + by > last && Math.floor(index / by) < Math.floor(last / by)) return step(last - index);
    return step(by);
  }

  const keys = {
    hasRegion: () => state.current !== null,
    openSlide: (by) => openSlide(state.requested + by, true),
    enlarge: () => ink.enlargeOverview(slide(), state.current, actions),
    clear: () => ink.verdicts.clear(ink.regionKey(slide(), state.current)),
    first: () => actions.go(shown()[0]),
    last: () => actions.go(shown().at(-1)),
    open: openContext,
    choose,
    move,
    step,
    undo,
    writeNote,
  };

  function start() {
    ink.at("model").textContent = ink.facts.model_sha256 ? `· model ${ink.facts.model_sha256.slice(0, 12)}` : "";
    if (ink.blinded) {
      ink.at("blinded").textContent = `Blinded reading: scores and calls are hidden, the order is shuffled (seed ${ink.facts.blinded_seed}).`;
      ink.at("blinded").hidden = false;
    }
    const reader = ink.at("reader");
    ink.verdicts.setReader(ink.setting.read("reader") || "");
    reader.value = ink.verdicts.reader();
    reader.addEventListener("change", () => ink.verdicts.setReader(reader.value.trim()));
    ink.verdicts.onChange(refresh);
    ink.at("overview").addEventListener("click", (event) => {
      if (event.target.closest(".enlarge")) ink.enlargeOverview(slide(), state.current, actions);
    });
    ink.at("undo").addEventListener("click", undo);
    ink.at("save").addEventListener("click", ink.saveVerdicts);
    ink.at("load").addEventListener("click", () => ink.at("load-file").click());
    ink.at("load-file").addEventListener("change", async (event) => {
      const [file] = event.target.files;
      if (file) await ink.loadVerdicts(file);
      event.target.value = ""; // the same file may be chosen again
    });
    ink.at("print").addEventListener("click", () => window.print());
    ink.at("help-open").addEventListener("click", ink.showHelp);
    ink.listenToKeys(keys);
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      closeContext();
    });
    window.addEventListener("beforeprint", () => printing(true));
    window.addEventListener("afterprint", () => printing(false));
    window.addEventListener("hashchange", () => openPlace(location.hash));
    // Nothing is drawn any more: an image requested now would be cancelled.
    const leave = (event) => {
      leaving = true;
      keepNote();
      if (event.type === "beforeunload" && ink.verdicts.wouldBeLost()) event.preventDefault();
      setTimeout(stay); // runs only if the page stays
    };
    const stay = () => {
      leaving = false;
      refresh(null);
    };
    window.addEventListener("beforeunload", leave);
    window.addEventListener("pagehide", leave);
    window.addEventListener("pageshow", (event) => event.persisted && stay());
    document.addEventListener("visibilitychange", keepNote);
    if (slides.length === 0) {
      ink.at("slide-head").append(ink.make("p", { text: "There are no slides in these results." }));
      return;
    }
    openPlace(location.hash);
    ink.showProgress();
  }

  /** Print all regions of the slide, with all images loaded. */
  function printing(on) {
    state.printing = on;
    paint();
    if (on) for (const image of document.querySelectorAll("#cards img")) image.loading = "eager";
  }

  /** The page may not come back: keep the note although its field still has the focus. */
  function keepNote() {
    if (dialog.open) ink.at("note")?.dispatchEvent(new Event("change"));
  }

  /** After a verdict: the card, the counts, and the enlarged view if it is open. */
  function refresh(key) {
    if (leaving) return;
    if (key === null) shown().forEach(repaintCard);
    else {
      const item = slide().regions.find((other) => ink.regionKey(slide(), other) === key);
      if (item) repaintCard(item);
      if (dialog.open && item === state.current) ink.refreshVerdicts(slide(), item, contextActions);
    }
    ink.showSlideAnswer(slide());
    ink.countReviewed(key);
    ink.showSlides(state.slide, (other) => openSlide(other, false));
    ink.showProgress();
  }

  start();
})(Inkdot);
