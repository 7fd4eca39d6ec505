// The slide viewer beside the gallery: deep zoom, layers, a scale bar, centred on the current region.
// It replaces the enlarged view: the same keys and verdicts, with the pixels of the slide instead of an image.
"use strict";

(function (ink) {
  const dialog = ink.at("context");
  const plain = { context: ink.showContext, hide: ink.hideContext, overview: ink.showOverview };
  const ROUND_TRIP = [0.5, 14]; // tile sides across: between these the reader's own zoom is kept from region to region
  let seadragon = null;
  let opened = null; // the slide that the viewer shows
  let shown = { slide: null, region: null, actions: null }; // what the panel is about
  let gallery = { slide: null, current: null, actions: null };

  const box = ink.make("div", { class: "viewer" });
  const canvas = ink.make("canvas", { class: "layers", "aria-hidden": "true" });
  const error = ink.make("p", { class: "viewer-error", hidden: true });

  function build() {
    const stage = ink.make("div", { class: "deep", role: "application", "aria-label": "The slide. Drag to move, wheel to zoom." });
    box.append(stage, canvas, error, tools(), ink.scaleBar(ink.roundBar(100)));
    // OpenSeadragon writes a style element where it finds none of its own, which the policy forbids (serve.css has its
    // rule). It is content with any element of that name, also with one outside HTML that styles nothing.
    const placeholder = document.createElementNS(null, "style");
    placeholder.setAttribute("data-openseadragon-mobile-css", "true");
    document.head.append(placeholder);
    if (ink.facts.synthetic_model) box.append(ink.make("span", { class: "stamp", text: "synthetic model" }));
    seadragon = OpenSeadragon({
      element: stage,
      drawer: "canvas",
      crossOriginPolicy: false,
      showNavigationControl: false,
      showNavigator: true,
      navigatorPosition: "BOTTOM_LEFT",
      navigatorSizeRatio: 0.18,
      navigatorAutoFade: false,
      navigatorDisplayRegionColor: "#111",
      keyboardNavEnabled: false, // arrows go from region to region
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
      animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.5,
      maxZoomPixelRatio: 4,
      minZoomImageRatio: 0.5,
      visibilityRatio: 0.2,
      imageLoaderLimit: 6,
      timeout: 60000,
    });
    seadragon.addHandler("update-viewport", draw);
    seadragon.addHandler("resize", () => seadragon.forceRedraw());
    seadragon.addHandler("canvas-click", pick);
    seadragon.addHandler("tile-load-failed", () => {
      error.textContent = "Part of the slide cannot be read.";
      error.hidden = false;
    });
    ink.seadragon = seadragon;
  }

  function tools() {
    const button = (words, sign, run) => ink.make("button", { type: "button", class: "step", "aria-label": words, title: words, text: sign, on: { click: run } });
    return ink.make(
      "div",
      { class: "viewer-tools" },
      button("Zoom in", "+", () => zoom(1.6)),
      button("Zoom out", "−", () => zoom(1 / 1.6)),
      button("The whole slide", "⤢", home),
    );
  }

  // --- Where the viewer looks -------------------------------------------------------------------------------------

  const item = () => seadragon.world.getItemAt(0);

  function zoom(factor) {
    seadragon.viewport.zoomBy(factor);
    seadragon.viewport.applyConstraints();
  }

  /** A rectangle of level 0 in the viewer's own units. */
  const rectangle = (x, y, width, height) => item().imageToViewportRectangle(x, y, width, height);

  /** The scanned part, all of it. */
  function home(immediately) {
    if (!item()) return;
    const [x, y, width, height] = opened.bounds_l0_px;
    seadragon.viewport.fitBounds(rectangle(x, y, width, height), immediately === true);
  }

  /** From level-0 pixels to the screen, as the image lies at this moment. */
  function frame() {
    const toViewer = (x, y) => seadragon.viewport.pixelFromPoint(item().imageToViewportCoordinates(x, y, true), true);
    const { width, height } = opened.view;
    const [start, end] = [toViewer(0, 0), toViewer(width, height)];
    const scale = (end.x - start.x) / width;
    const size = [box.clientWidth, box.clientHeight];
    return {
      scale,
      toScreen: (x, y) => [start.x + x * scale, start.y + y * scale],
      seen: [-start.x / scale, -start.y / scale, (size[0] - start.x) / scale, (size[1] - start.y) / scale],
    };
  }

  const fieldUm = () => (box.clientWidth / frame().scale) * opened.mpp[0];

  function fly(region, immediately) {
    const [left, top, right, bottom] = region.box_l0_px;
    const middle = [(left + right) / 2, (top + bottom) / 2];
    const across = fieldUm() / opened.side_um;
    const viewport = seadragon.viewport;
    if (!immediately && across >= ROUND_TRIP[0] && across <= ROUND_TRIP[1]) {
      viewport.panTo(item().imageToViewportCoordinates(...middle));
      return;
    }
    const side = region.context_um / opened.mpp[0];
    viewport.fitBounds(rectangle(middle[0] - side / 2, middle[1] - side / 2, side, side), immediately);
  }

  // --- Drawing ----------------------------------------------------------------------------------------------------

  function draw() {
    if (!item() || !opened) return;
    const [width, height, ratio] = [box.clientWidth, box.clientHeight, window.devicePixelRatio || 1];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    ink.layers.draw(context, frame(), opened, shown.region);
    measure();
  }

  /** Update the scale bar and the width of the field. */
  function measure() {
    const um = fieldUm();
    const bar = ink.roundBar(um);
    const old = box.querySelector(".scale");
    const shows = `${bar.length_um} ${bar.fraction}`; // both: twice the zoom may have a bar as long, of half the length
    if (old.dataset.shows !== shows) {
      const fresh = ink.scaleBar(bar);
      fresh.dataset.shows = shows;
      old.replaceWith(fresh);
    }
    const words = dialog.querySelector(".field-words");
    const text = `Field ${um >= 1000 ? `${(um / 1000).toFixed(2)} mm` : `${Math.round(um)} µm`} wide.`;
    if (words && words.textContent !== text) words.textContent = text;
  }

  const redraw = () => seadragon?.forceRedraw();

  // --- Opening slides and regions ------------------------------------------------------------------------------------

  /** Open a slide in the viewer, then look at a region of it, or at all of it. */
  function look(slide, region) {
    if (!seadragon) build();
    if (opened === slide && item()) {
      if (region) fly(region, false);
      redraw();
      return;
    }
    opened = slide;
    error.hidden = true;
    const { width, height, tile_px: tileSize, finest_level: maxLevel } = slide.view;
    seadragon.addOnceHandler("open", () => {
      if (opened !== slide) return;
      home(true);
      if (shown.region) fly(shown.region, true);
      ink.layers.ready(slide.view).then(redraw);
    });
    seadragon.open({
      width,
      height,
      tileSize,
      tileOverlap: 0,
      minLevel: Math.min(8, maxLevel),
      maxLevel,
      getTileUrl: (level, column, row) => `slides/${slide.view.slide}/tiles/${level}/${column}_${row}.jpg`,
    });
  }

  function present() {
    if (!dialog.open) dialog.show(); // beside the gallery, not above it: both stay in use
    document.body.classList.add("viewing");
  }

  ink.showContext = function (slide, region, actions) {
    if (!slide.view) return;
    const other = shown.region !== region;
    shown = { slide, region, actions };
    present();
    plain.context(slide, region, actions);
    fitPanel(slide);
    if (other || opened !== slide) look(slide, region);
    else redraw();
    keepCardInView();
  };

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
      ink.make("div", { class: "stage" }),
      ink.make(
        "div",
        { class: "panel" },
        ink.make("div", { class: "facts" }, ink.make("h2", { id: "context-title", tabindex: "-1", text: slide.id }), ink.make("p", { class: "fine" })),
        ink.make("div", { class: "view", role: "group", "aria-label": "View" }, ink.make("div", { class: "view-row" })),
      ),
      ink.make("div", { class: "context-tools" }, close),
    );
    fitPanel(slide);
    look(slide, null);
    ink.at("context-title").focus();
  }

  /** Put the viewer where the enlarged image would be, and what it can do beside it. */
  function fitPanel(slide) {
    dialog.querySelector(".stage").replaceChildren(box);
    const words = dialog.querySelector(".facts > .fine");
    words?.classList.add("field-words");
    dialog.querySelector('[data-view="zoom"]')?.closest("label").remove();
    for (const input of dialog.querySelectorAll("[data-view]")) input.addEventListener("input", applyLight);
    const row = dialog.querySelector(".view-row");
    row.querySelector("label")?.remove(); // outlining the tile is the layer "regions" here
    if (shown.region) row.append(ink.make("button", { type: "button", on: { click: () => ink.at("undo").click() } }, "Undo ", ink.make("kbd", { text: "z" })));
    dialog.querySelector(".panel").append(ink.make("p", { class: "research-use", text: document.querySelector(".top .research-use").textContent }));
    dialog.querySelector(".view").prepend(layerSwitches(slide));
    applyLight();
  }

  function applyLight() {
    const value = (name) => dialog.querySelector(`[data-view="${name}"]`)?.value ?? "100";
    const image = box.querySelector(".deep .openseadragon-canvas canvas");
    if (image) image.style.filter = `brightness(${value("brightness")}%) contrast(${value("contrast")}%)`;
  }

  function layerSwitches(slide) {
    const switches = ["regions", ...slide.view.layers].map((name) => {
      const input = ink.make("input", {
        type: "checkbox",
        data: { layer: name },
        on: { change: () => ink.layers.turn(slide.view, name, input.checked).then(() => { input.checked = ink.layers.isOn(name); legend.hidden = !ink.layers.isOn("scores"); redraw(); }) },
      });
      input.checked = ink.layers.isOn(name);
      return ink.make("label", { class: "layer" }, input, ` ${ink.layers.words(name)}`);
    });
    const legend = ink.make(
      "p",
      { class: "heat-legend", hidden: !(slide.view.layers.includes("scores") && ink.layers.isOn("scores")) },
      "0", ink.make("span", { class: "heat low", "aria-hidden": "true" }), `${ink.score(slide.threshold)}`, ink.make("span", { class: "heat high", "aria-hidden": "true" }), "1",
    );
    return ink.make("fieldset", { class: "layer-switches" }, ink.make("legend", { text: "On the slide" }), ...switches, legend);
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
  function pick(event) {
    if (!event.quick || !item()) return;
    const region = ink.layers.regionAt(frame(), opened, event.position.x, event.position.y);
    if (!region || region === shown.region) return;
    event.preventDefaultAction = true;
    gallery.actions.go(region);
    if (shown.region !== region) gallery.actions.open(region);
  }

  ink.zoomBy = (step) => zoom(step > 0 ? 1.6 : 1 / 1.6);

  ink.panBy = function (x, y) {
    const seen = seadragon.viewport.getBounds();
    seadragon.viewport.panBy(new OpenSeadragon.Point((x * seen.width) / 10, (y * seen.height) / 10));
    seadragon.viewport.applyConstraints();
  };

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
    } else if (dialog.open && shown.region === null && (event.key === "+" || event.key === "=")) zoom(1.6);
    else if (dialog.open && shown.region === null && event.key === "-") zoom(1 / 1.6);
  });
})(Inkdot);
