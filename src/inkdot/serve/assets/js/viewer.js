// The slide viewer beside the gallery: deep zoom, layers, a scale bar, centred on the current region.
// It replaces the enlarged view: the same keys and verdicts, with the pixels of the slide instead of an image.
"use strict";

(function (ink) {
  const dialog = ink.at("context");
  const plain = { context: ink.showContext, hide: ink.hideContext, overview: ink.showOverview };
  const ROUND_TRIP = [0.5, 14]; // tile sides across: between these the reader's own zoom is kept from region to region
  let opened = null; // the slide that the viewer shows
  let shown = { slide: null, region: null, actions: null }; // what the panel is about
  let gallery = { slide: null, current: null, actions: null };

  const error = ink.make("p", { class: "viewer-error", hidden: true });
  const view = ink.zoomView({
    label: "The slide. Drag to move, wheel to zoom.",
    navigator: true,
    draw(context, frame) {
      ink.layers.draw(context, frame, opened, shown.region);
      if (shown.slide !== opened) return;
      const [left, top] = shown.region?.cluster?.outlines?.corner_l0_px ?? [0, 0];
      ink.drawNuclei(context, shown.region, (x, y) => frame.toScreen(left + x, top + y));
    },
    click: pick,
    moved: ink.showMagnification,
    failed() {
      error.textContent = "Part of the slide cannot be read.";
      error.hidden = false;
    },
  });
  view.box.append(error);

  // --- Where the viewer looks -------------------------------------------------------------------------------------

  /** The scanned part, all of it. */
  function home(immediately) {
    if (!view.ready) return;
    const viewport = view.seadragon.viewport;
    const [x, y, width, height] = opened.bounds_l0_px;
    viewport.fitBounds(view.seadragon.world.getItemAt(0).imageToViewportRectangle(x, y, width, height), immediately === true);
  }

  const middleOf = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];

  /** As a place opens: at 40×, or as far as the whole region is seen. */
  function lookAt(slide, region, immediately) {
    view.fit(region.side_um, ink.opensAt(slide), immediately);
    view.centreOn(...middleOf(region.box_l0_px), immediately);
  }

  function fly(slide, region, immediately) {
    const across = view.fieldUm() / slide.side_um;
    if (immediately || across < ROUND_TRIP[0] || across > ROUND_TRIP[1]) lookAt(slide, region, immediately);
    else view.centreOn(...middleOf(region.box_l0_px));
  }

  // --- Opening slides and regions ------------------------------------------------------------------------------------

  /** Open a slide in the viewer, then look at a region of it, or at all of it. */
  function look(slide, region) {
    if (opened === slide && view.ready) {
      if (region) fly(slide, region, false);
      view.redraw();
      return;
    }
    opened = slide;
    error.hidden = true;
    const { width, height, tile_px: tileSize, finest_level: maxLevel } = slide.view;
    const source = {
      width,
      height,
      tileSize,
      tileOverlap: 0,
      minLevel: Math.min(8, maxLevel),
      maxLevel,
      getTileUrl: (level, column, row) => `slides/${slide.view.slide}/tiles/${level}/${column}_${row}.jpg`,
    };
    view.open(source, { mpp: slide.mpp, key: slide.id }, () => {
      ink.seadragon = view.seadragon;
      if (opened !== slide) return;
      home(true);
      if (shown.region) fly(slide, shown.region, true);
      ink.layers.ready(slide.view).then(view.redraw);
    });
  }

  function present() {
    if (!dialog.open) dialog.show(); // beside the gallery, not above it: both stay in use
    document.body.classList.add("viewing");
  }

  let moved = false; // whether the current region is another than the panel showed

  ink.placeView = {
    view: () => view,
    box: () => view.box,
    show(slide, region) {
      if (moved || opened !== slide) look(slide, region);
      else view.redraw();
    },
    reset(slide, region) {
      view.turn(null);
      if (region) lookAt(slide, region);
      else home();
    },
    closed() {},
    overlays: (slide) => ["regions", ...slide.view.layers].map((name) => [name, ink.layers.words(name), ink.layers.isOn(name)]),
    async turn(slide, name, on, input) {
      await ink.layers.turn(slide.view, name, on);
      input.checked = ink.layers.isOn(name);
      for (const part of dialog.querySelectorAll(".of-scores")) part.hidden = !ink.layers.isOn("scores");
      view.redraw();
    },
  };

  ink.showContext = function (slide, region, actions) {
    if (!slide.view) return;
    moved = shown.region !== region;
    shown = { slide, region, actions };
    present();
    plain.context(slide, region, actions);
    sayResearchUse();
    keepCardInView();
  };

  const toolbar = ink.viewToolbar;

  ink.viewToolbar = function (slide, region) {
    const whole = ink.make("button", { type: "button", title: "The whole slide", "aria-label": "The whole slide", on: { click: () => home() } }, "⤢");
    return toolbar(slide, region, [whole]);
  };

  const controls = ink.viewControls;

  /** Layers with the opacity of the scores and their legend. */
  ink.viewControls = function (slide, region, repaint) {
    const has = slide.view.layers.includes("scores");
    const undo = ink.make("button", { type: "button", on: { click: () => ink.at("undo").click() } }, "Undo ", ink.make("kbd", { text: "z", "aria-hidden": "true" }));
    return controls(slide, region, repaint, has ? scoreControls(slide) : [], region ? [undo] : []);
  };

  function scoreControls(slide) {
    const hidden = !ink.layers.isOn("scores");
    const value = ink.make("output", { text: `${ink.layers.opacity()} %` });
    const input = ink.make("input", {
      type: "range", min: "10", max: "100", step: "5", value: String(ink.layers.opacity()), "aria-label": "Opacity of the scores", data: { view: "opacity" },
      on: {
        input: () => {
          ink.layers.setOpacity(Number(input.value));
          value.textContent = `${input.value} %`;
          view.redraw();
        },
      },
    });
    const legend = ink.make(
      "p", { class: "heat-legend of-scores", hidden },
      "0", ink.make("span", { class: "heat low", "aria-hidden": "true" }), `${ink.score(slide.threshold)}`, ink.make("span", { class: "heat high", "aria-hidden": "true" }), "1",
    );
    return [legend, ink.make("label", { class: "slider of-scores", hidden }, ink.make("span", { text: "Scores" }), input, value)];
  }

  /** The whole slide, also where no region is shown or none is current. */
  function showWhole(slide) {
    if (!slide.view) return;
    if (shown.slide === slide && shown.region && dialog.open) {
      home();
      return;
    }
    shown = { slide, region: null, actions: null };
    present();
    dialog.dataset.region = "";
    const close = ink.make("button", { type: "button", class: "step", "aria-label": "Close", text: "×", on: { click: () => gallery.actions.close() } });
    dialog.replaceChildren(
      ink.make("div", { class: "stage" }, ink.viewToolbar(slide, null), view.box),
      ink.make(
        "div",
        { class: "panel" },
        ink.make("div", { class: "facts" }, ink.make("h2", { id: "context-title", tabindex: "-1", text: slide.id })),
        ink.viewControls(slide, null, () => {}),
      ),
      ink.make("div", { class: "context-tools" }, close),
    );
    sayResearchUse();
    look(slide, null);
    ink.at("context-title").focus();
  }

  /** The viewer covers the page's header. */
  function sayResearchUse() {
    dialog.querySelector(".panel").append(ink.make("p", { class: "research-use", text: document.querySelector(".top .research-use").textContent }));
  }

  // --- In step with the gallery -------------------------------------------------------------------------------------

  ink.showOverview = function (slide, current, actions) {
    plain.overview(slide, current, actions);
    gallery = { slide, current, actions };
    if (!dialog.open) return;
    if (!slide.view) ink.hideContext(); // there is nothing to look at: what is open must not be taken for it
    else if (current === null) showWhole(slide);
    else if (shown.region === null) actions.open(current);
    else if (shown.actions && (current !== shown.region || slide !== shown.slide)) ink.showContext(slide, current, shown.actions);
  };

  ink.enlargeOverview = (slide) => showWhole(slide);

  function keepCardInView() {
    const card = ink.at("cards").querySelector(`[data-rank="${shown.region.rank}"]`);
    card?.scrollIntoView({ block: "nearest" });
  }

  /** A click on a region in the slide makes its card the current one. */
  function pick(x, y, frame) {
    const region = ink.layers.regionAt(frame, opened, x, y);
    if (!region || region === shown.region) return false;
    gallery.actions.go(region);
    if (shown.region !== region) gallery.actions.open(region);
    return true;
  }

  ink.hideContext = function () {
    plain.hide();
    document.body.classList.remove("viewing");
    shown = { slide: null, region: null, actions: null };
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || ink.at("help").open) return;
    if (event.target.closest("textarea, select, input[type=text]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "Escape" && dialog.open) {
      event.preventDefault();
      gallery.actions.close();
    } else if (event.key.toLowerCase() === "o" && gallery.slide && (dialog.open || gallery.current === null)) {
      event.preventDefault();
      showWhole(gallery.slide);
    } else if (dialog.open && shown.region === null) ink.viewKeys[event.key]?.();
  });
})(Inkdot);
