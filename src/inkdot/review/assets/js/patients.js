// Slides of one patient together in the list, stains side by side, and a change of stain beside the slide's name.
"use strict";

(function (ink) {
  const groups = new Map(); // patient -> its slides, where there are several
  for (const slide of ink.facts.slides) {
    if (slide.patient) groups.set(slide.patient, [...(groups.get(slide.patient) ?? []), slide]);
  }
  for (const [patient, slides] of groups) if (slides.length < 2) groups.delete(patient);

  /** What a button says: the stain, numbered where the patient has several slides of it. */
  function stainWords(slide, slides) {
    const stain = slide.stain || "stain not stated";
    const same = slides.filter((other) => other.stain === slide.stain);
    return same.length > 1 ? `${stain} ${same.indexOf(slide) + 1}` : stain;
  }

  const listed = ink.showSlides;
  let grouped = false;

  /** Slides of a patient stand together already (inkdot.review.gallery.patients); they are put below the patient's name. */
  function group() {
    const items = [...ink.at("slides").children];
    ink.facts.slides.forEach((slide, index) => {
      const facts = items[index].querySelector(".slide-name");
      if (slide.stain) facts.before(ink.make("span", { class: "stain", text: slide.stain }));
    });
    for (const [patient, slides] of groups) {
      const own = slides.map((slide) => items[ink.facts.slides.indexOf(slide)]);
      const stains = ink.make("ol", { class: "stains", "aria-label": `Slides of patient ${patient}` });
      const item = ink.make("li", { class: "patient" }, ink.make("p", { class: "patient-name", text: `Patient ${patient}` }), stains);
      own[0].before(item);
      stains.append(...own);
    }
  }

  ink.showSlides = function (openIndex, choose) {
    listed(openIndex, choose);
    if (grouped) return;
    grouped = true;
    group();
  };

  const plain = ink.showHead;

  ink.showHead = function (slide) {
    plain(slide);
    const title = ink.at("slide-head").querySelector(".title");
    const slides = groups.get(slide.patient) ?? [];
    if (slides.length === 0 || !title) return;
    const buttons = slides.map((other) =>
      ink.make("button", {
        type: "button",
        "aria-pressed": String(other === slide),
        title: other.id,
        text: stainWords(other, slides),
        on: { click: () => { location.hash = `#${ink.facts.slides.indexOf(other) + 1}`; } },
      }),
    );
    title.append(ink.make("div", { class: "stain-switch", role: "group", "aria-label": `Slides of patient ${slide.patient}` }, ...buttons));
  };
})(Inkdot);
