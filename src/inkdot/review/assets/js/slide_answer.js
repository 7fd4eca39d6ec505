// The reader's answer for the slide as a whole, and what was missed: a row of buttons below the slide's header.
"use strict";

(function (ink) {
  const CLASS = { malignant: "bad", suspicious: "between", atypical: "between", negative: "good" };
  let shown = null; // the slide that the row is about
  let writing = false; // whether the field for a note is open

  const row = ink.make("section", { id: "slide-answer", class: "slide-answer", tabindex: "-1", "aria-label": "Your answer for the whole slide" });
  ink.at("slide-head").after(row);

  function choice(head, verdict, words, kind, current, digit) {
    return ink.make(
      "button",
      {
        type: "button",
        class: `verdict ${kind}`,
        "aria-pressed": String(current === verdict),
        "aria-keyshortcuts": digit,
        data: { head, verdict, digit },
        on: { click: () => ink.answerSlide(shown, head, verdict) },
      },
      ink.make("kbd", { text: digit, "aria-hidden": "true" }),
      ink.make("span", { text: words }),
    );
  }

  function adequacy(slide) {
    const current = ink.verdicts.verdict(ink.slideKey(slide), ink.ADEQUACY);
    return ink.make(
      "div",
      { class: "verdicts", role: "group", "aria-label": "Is there enough material to judge the slide?" },
      choice(ink.ADEQUACY, "adequate", "adequate", "plain", current, "9"),
      choice(ink.ADEQUACY, "inadequate", "not adequate", "plain", current, "0"),
    );
  }

  function category(slide) {
    const current = ink.verdicts.verdict(ink.slideKey(slide), ink.CATEGORY);
    const buttons = ink.facts.slide_categories.map(({ name, means }, index) =>
      choice(ink.CATEGORY, name, name, CLASS[means] ?? "plain", current, index < 8 ? String(index + 1) : ""),
    );
    if (current !== null && !ink.facts.slide_categories.some(({ name }) => name === current)) {
      buttons.push(choice(ink.CATEGORY, current, `${current} (an earlier category)`, "plain", current, "")); // the laboratory has other words now
    }
    return ink.make("div", { class: "verdicts", role: "group", "aria-label": "Category of the slide" }, ...buttons);
  }

  function noteParts(slide) {
    const key = ink.slideKey(slide);
    const text = ink.verdicts.note(key);
    const toggle = ink.make(
      "button",
      { type: "button", class: "slide-note-open", "aria-expanded": String(writing), "aria-controls": "slide-note", on: { click: () => openNote(!writing) } },
      text === "" ? "Note" : "Note ●",
    );
    if (text !== "") toggle.setAttribute("title", text);
    const field = ink.make("textarea", { id: "slide-note", class: "slide-note", rows: "2", maxlength: "2000", hidden: !writing, "aria-label": "Note on the slide", placeholder: "Note on the slide", on: { change: () => ink.verdicts.setNote(key, field.value) } });
    field.value = text;
    return [toggle, field];
  }

  function openNote(open) {
    writing = open;
    ink.showSlideAnswer(shown);
    if (open) ink.at("slide-note").focus();
  }

  function missed(slide) {
    const marks = ink.marksOf(slide);
    const open = ink.make(
      "button",
      { type: "button", class: "mark-missed", disabled: !ink.canMark(slide), "aria-haspopup": "dialog", "aria-keyshortcuts": ink.slideKeys.missed, on: { click: () => ink.startMarking(slide) } },
      "Mark something missed ",
      ink.slideKeys.missed === "" ? null : ink.make("kbd", { text: ink.slideKeys.missed, "aria-hidden": "true" }),
    );
    if (!ink.canMark(slide)) open.title = "There is no picture of this slide to mark it on";
    const chips = marks.map((mark, index) =>
      ink.make(
        "li",
        {},
        ink.make("button", { type: "button", class: "missed-chip", title: "Show it on the slide", on: { click: () => ink.startMarking(slide, mark) } }, `Missed ${index + 1}: ${ink.missedWord(mark.verdict)}`),
        ink.make("button", { type: "button", class: "missed-drop", "aria-label": `Take back missed ${index + 1}`, text: "×", on: { click: () => ink.unmark(mark.key) } }),
      ),
    );
    return [open, chips.length > 0 ? ink.make("ul", { class: "missed-list", "aria-label": "Marked as missed" }, ...chips) : null];
  }

  /** For the printed sheet, where there are no buttons. */
  function printed(slide) {
    const note = ink.verdicts.note(ink.slideKey(slide));
    const marks = ink.marksOf(slide).map((mark) => ink.missedWord(mark.verdict));
    const parts = [ink.slideAnswerWords(slide), marks.length > 0 ? `marked as missed: ${marks.join(", ")}` : "", note].filter(Boolean);
    return ink.make("p", { class: "only-print", text: parts.length > 0 ? `Reader's answer for the slide: ${parts.join("; ")}` : "" });
  }

  ink.canMark = (slide) => Boolean(slide.overview && slide.bounds_l0_px && slide.side_um);

  ink.showSlideAnswer = function (slide) {
    if (shown !== slide) writing = false;
    shown = slide;
    row.dataset.slide = String(ink.facts.slides.indexOf(slide));
    const active = document.activeElement;
    const held = row.contains(active) ? { ...active.dataset, id: active.id, chosen: active.className } : null;
    const unwritten = held?.id === "slide-note" ? active.value : null;
    const words = ink.make("p", { class: "slide-answer-title" }, ink.make("span", { class: "slide-answer-whole", text: "Whole slide" }), " ", ink.slideKeys.answer === "" ? null : ink.make("kbd", { text: ink.slideKeys.answer, title: "Then the digit of an answer" }), ink.make("span", { class: "slide-answer-short", text: ink.slideAnswerWords(slide) || "not answered" }));
    const fresh = [words, adequacy(slide), category(slide), ...noteParts(slide), ...missed(slide), printed(slide)].filter(Boolean);
    const kept = [...row.children];
    if (kept.length === fresh.length && kept.every((node, index) => node.isEqualNode(fresh[index]))) return decorate(); // it may be about to be clicked
    row.replaceChildren(...fresh);
    if (unwritten !== null) row.querySelector("#slide-note").value = unwritten;
    if (held) refocus(held);
    decorate();
  };

  function refocus(held) {
    const same = held.digit ? `[data-digit="${held.digit}"]` : held.id ? `#${held.id}` : `.${held.chosen.split(" ")[0]}`;
    (row.querySelector(same) ?? row).focus({ preventScroll: true });
  }

  let listed = false; // whether the list of slides shows every answer; then only what changed is redrawn

  ink.verdicts.onChange((key) => {
    if (key === null) listed = false;
  });

  /** The reader's answers in the list of slides: of all slides where needed, else of the one that is open. */
  function decorate() {
    const buttons = ink.at("slides").querySelectorAll("button[title]");
    const slides = listed ? [shown] : ink.facts.slides;
    const first = listed ? ink.facts.slides.indexOf(shown) : 0;
    slides.forEach((slide, index) => markSlide(slide, buttons[first + index]));
    listed = buttons.length > 0;
  }

  function markSlide(slide, button) {
    const facts = button?.querySelector(".slide-facts");
    if (!facts) return;
    const words = ink.slideAnswerWords(slide);
    let mark = facts.querySelector(".slide-said");
    if (!mark && words === "") return;
    if (!mark) facts.append((mark = ink.make("span", { class: "slide-said" })));
    if (mark.textContent !== words) mark.textContent = words;
    mark.title = words === "" ? "" : `Your answer: ${words}`;
  }

  /** Keys of this row, in the list of all keys. */
  ink.addHelp = function (help) {
    const rows = [[ink.slideKeys.answer, "answer for the whole slide: then the digit of a button"], [ink.slideKeys.missed, "mark something missed on the slide"]];
    for (const [key, words] of rows.filter(([letter]) => letter !== "")) {
      help.querySelector("tbody")?.append(ink.make("tr", {}, ink.make("th", { scope: "row" }, ink.make("kbd", { text: key })), ink.make("td", { text: words })));
    }
  };

  row.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("textarea")) return;
    const button = event.key.length === 1 ? row.querySelector(`[data-digit="${CSS.escape(event.key)}"]`) : null;
    if (!button || event.repeat) return;
    event.preventDefault();
    event.stopPropagation();
    button.click();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !shown) return;
    if (event.target.closest("textarea, select, input, dialog:modal:not(#context)") || ink.at("help").open) return;
    const key = event.key.toLowerCase();
    const enlarged = ink.at("context");
    if (key === ink.slideKeys.answer) {
      event.preventDefault();
      if (enlarged.matches(":modal") || (enlarged.open && row.offsetParent === null)) ink.closeEnlarged(); // it hides the row
      row.scrollIntoView({ block: "nearest" });
      row.focus({ preventScroll: true });
    } else if (key === ink.slideKeys.missed && ink.canMark(shown)) {
      event.preventDefault();
      if (enlarged.matches(":modal")) ink.closeEnlarged();
      ink.startMarking(shown);
    }
  });
})(Inkdot);
