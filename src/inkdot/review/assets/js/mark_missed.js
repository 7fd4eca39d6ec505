// "Mark something missed": a click or a drawn outline on the overview picture, and then what it is.
"use strict";

(function (ink) {
  const LEAST_DRAG_PX = 6; // below that it was a click
  const dialog = ink.make("dialog", { id: "marking", class: "spot-view marking", "aria-labelledby": "marking-title" });
  document.body.append(dialog);

  const place = (slide, [x, y]) => {
    const [left, top, width, height] = slide.bounds_l0_px;
    return [(x - left) / width, (y - top) / height];
  };

  const toLevel0 = (slide, [fx, fy]) => {
    const [left, top, width, height] = slide.bounds_l0_px;
    return [left + fx * width, top + fy * height];
  };

  /** Middle of the box around an outline. */
  ink.middleOfOutline = function (polygon) {
    const corners = ink.cornersOf(polygon);
    const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
    return [(Math.min(...xs) + Math.max(...xs)) / 2, (Math.min(...ys) + Math.max(...ys)) / 2];
  };

  /** A mark on an overview picture: a diamond with its number. */
  function diamond(slide, mark, number, actions) {
    const [x, y] = place(slide, ink.middleOfOutline(mark.polygon));
    const words = `Marked as missed ${number}: ${ink.missedWord(mark.verdict)}`;
    return ink.make("button", {
      type: "button",
      class: "missed-spot",
      tabindex: "-1",
      style: { left: `${x * 100}%`, top: `${y * 100}%` },
      title: words,
      "aria-label": words,
      data: { number },
      on: { click: (event) => { event.stopPropagation(); actions(mark); } },
    });
  }

  /** Put the marks of a slide onto a picture of it. */
  ink.drawMarks = function (frame, slide, actions) {
    for (const old of frame.querySelectorAll(".missed-spot")) old.remove();
    ink.marksOf(slide).forEach((mark, index) => frame.append(diamond(slide, mark, index + 1, actions)));
  };

  // --- The dialog ---------------------------------------------------------------------------------------------------

  function outline(slide, polygon, kind) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 1 1");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("class", `missed-outline ${kind}`);
    svg.setAttribute("aria-hidden", "true");
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    shape.setAttribute("points", ink.cornersOf(polygon).map((corner) => place(slide, corner).join(",")).join(" "));
    svg.append(shape);
    return svg;
  }

  /** How far a click may be off, for the reader: one pixel of the screen in µm. */
  function precision(slide, frame) {
    const um = (slide.bounds_l0_px[2] * slide.mpp[0]) / Math.max(1, frame.clientWidth);
    return `One pixel of the screen is ${um >= 10 ? Math.round(um) : um.toFixed(1)} µm here.`;
  }

  /** Ask what a mark is. Resolves nothing: the answer is stored, or the mark is left out. */
  ink.askWhatIsMissed = function (box, slide, mark, done) {
    const buttons = ink.facts.missed_verdicts.map((verdict, index) =>
      ink.make(
        "button",
        {
          type: "button",
          class: `verdict ${index === 0 ? "bad" : "plain"}`,
          "aria-pressed": String(mark.verdict === verdict),
          data: { digit: String(index + 1) },
          on: { click: () => { ink.markMissed(slide, mark.polygon, verdict); keepNote(); done(); } },
        },
        ink.make("kbd", { text: String(index + 1), "aria-hidden": "true" }),
        ink.make("span", { text: ink.missedWord(verdict) }),
      ),
    );
    const key = ink.missedKey(slide, mark.polygon);
    const note = ink.make("input", { type: "text", class: "missed-note", maxlength: "500", placeholder: "note (optional)", "aria-label": "Note on what was missed", on: { change: () => mark.key && keepNote() } });
    note.value = mark.note ?? "";
    const keepNote = () => { if (note.value.trim() !== (mark.note ?? "")) ink.verdicts.setNote(key, note.value); };
    const leave = mark.key
      ? ink.make("button", { type: "button", text: "Take this mark back", on: { click: () => { ink.unmark(mark.key); done(); } } })
      : ink.make("button", { type: "button", text: "Not this", on: { click: done } });
    box.replaceChildren(ink.make("p", { text: "What is it?" }), ink.make("div", { class: "verdicts", role: "group", "aria-label": "What was missed" }, ...buttons), note, leave);
    box.hidden = false;
    box.querySelector(".verdict").focus();
  };

  function pictureOf(slide, choose) {
    const { src, width, height } = slide.overview;
    const frame = ink.make("div", { class: "overview-frame marking-frame", style: { "--ratio": String(width / height) } });
    frame.append(ink.image(src, `Overview of slide ${slide.id}`, null, false), ink.scaleBar(slide.overview_bar));
    let drawn = null; // points of the outline as fractions of the frame
    const at = (event) => {
      const area = frame.getBoundingClientRect();
      return [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
    };
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest(".missed-spot")) return;
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      drawn = [at(event)];
    });
    frame.addEventListener("pointermove", (event) => {
      if (drawn) drawn.push(at(event));
    });
    frame.addEventListener("pointercancel", () => { drawn = null; });
    frame.addEventListener("pointerup", () => {
      if (!drawn) return;
      const points = drawn;
      drawn = null;
      const spread = (axis, size) => (Math.max(...points.map((point) => point[axis])) - Math.min(...points.map((point) => point[axis]))) * size;
      const isClick = Math.max(spread(0, frame.clientWidth), spread(1, frame.clientHeight)) < LEAST_DRAG_PX;
      const polygon = isClick
        ? ink.circleAt(slide, ...toLevel0(slide, points[0]), slide.side_um)
        : ink.outlineOf(points.map((point) => toLevel0(slide, point)));
      if (polygon) choose(polygon);
    });
    return frame;
  }

  /** Open the picture of a slide to mark something on it, or to see a mark again. */
  ink.startMarking = function (slide, mark) {
    if (!slide.overview) return;
    const box = ink.make("div", { class: "missed-question", hidden: true });
    const frame = pictureOf(slide, (polygon) => ask({ polygon, verdict: "", note: "" }));
    const repaint = () => {
      for (const old of frame.querySelectorAll(".missed-outline")) old.remove();
      for (const known of ink.marksOf(slide)) frame.append(outline(slide, known.polygon, "known"));
      ink.drawMarks(frame, slide, ask);
      box.hidden = true;
    };
    const ask = (chosen) => {
      repaint();
      frame.append(outline(slide, chosen.polygon, "fresh"));
      ink.askWhatIsMissed(box, slide, chosen, () => {
        repaint();
        ink.at("marking-title").focus();
      });
    };
    const hint = ink.make("p", { class: "fine" });
    const close = ink.make("button", { type: "button", class: "step", "aria-label": "Close", text: "×", on: { click: () => dialog.close() } });
    dialog.replaceChildren(
      ink.make("div", { class: "marking-head" }, ink.make("h2", { id: "marking-title", tabindex: "-1", text: `Mark something missed on ${slide.id}` }), hint, box),
      frame,
      ink.make("div", { class: "context-tools" }, close),
    );
    repaint();
    dialog.showModal();
    hint.textContent = `Click a place, or draw around it. ${precision(slide, frame)}`;
    ink.at("marking-title").focus();
    if (mark) ask(mark);
  };

  // Keys in the dialog are its own: digits answer, and no letter reaches the regions behind it.
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.target.closest("input") || event.repeat) return;
    dialog.querySelector(`.missed-question:not([hidden]) [data-digit="${CSS.escape(event.key)}"]`)?.click();
  });

  // --- On the overview beside the slides -----------------------------------------------------------------------------

  const plain = ink.showOverview;

  ink.showOverview = function (slide, current, actions) {
    plain(slide, current, actions);
    const frame = ink.at("overview").querySelector(".overview-frame");
    if (frame) ink.drawMarks(frame, slide, (mark) => ink.startMarking(slide, mark));
  };

  ink.verdicts.onChange((key) => {
    const about = key === null ? null : ink.answerOf(key);
    const frame = ink.at("overview").querySelector(".overview-frame");
    const open = ink.facts.slides[Number(ink.at("slide-answer").dataset.slide)];
    if (frame && open && (key === null || about?.kind === "missed")) ink.drawMarks(frame, open, (mark) => ink.startMarking(open, mark));
  });
})(Inkdot);
