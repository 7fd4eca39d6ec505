// An image that zooms, turns and can be measured in: the slide on a server, a region's surroundings in the exported page.
// OpenSeadragon draws the pixels. Positions are pixels of the image, from its top left corner; sizes on the screen are CSS pixels.
"use strict";

(function (ink) {
  const UM_PER_PX_AT_1X = 10; // as scanners count: 40× is 0.25 µm per pixel
  const LONGEST_UM_PER_PX = 1.0;
  ink.OPENS_AT_UM = 0.25;

  /** "40×" for 0.25 µm per pixel. */
  ink.magnificationWords = (umPerPx) => `${Number((UM_PER_PX_AT_1X / umPerPx).toPrecision(2))}×`;

  /** µm per pixel of the screen at which a place opens: 40×, or the slide's own resolution where that is coarser. */
  ink.opensAt = (slide) => (slide.mpp[0] > 0.3 ? Math.min(LONGEST_UM_PER_PX, slide.mpp[0]) : ink.OPENS_AT_UM);

  const tools = { // the same in every view: what a reader chose stays chosen from region to region
    brightness: 100, contrast: 100, measuring: false, nuclei: false,
  };
  ink.viewTools = tools;

  function osdOptions(element, navigator) {
    return {
      element,
      drawer: "canvas",
      crossOriginPolicy: false,
      showNavigationControl: false,
      showNavigator: navigator,
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
      preserveImageSizeOnResize: true, // a magnification stays what it says
      imageLoaderLimit: 6,
      timeout: 60000,
    };
  }

  /** OpenSeadragon writes a style element where it finds none of its own, which the policy forbids (gallery.css has its rule).
   * It is content with any element of that name, also with one outside HTML that styles nothing. */
  function declineStyle() {
    if (document.querySelector("[data-openseadragon-mobile-css]")) return;
    const placeholder = document.createElementNS(null, "style");
    placeholder.setAttribute("data-openseadragon-mobile-css", "true");
    document.head.append(placeholder);
  }

  /**
   * A view; `box` is its element, which is put where it shall be seen before the first `open`.
   * @param options {label, navigator, draw(context, frame), click(x, y, frame) -> whether it was used, moved(), failed()}
   */
  ink.zoomView = function (options) {
    const box = ink.make("div", { class: "viewer" });
    const canvas = ink.make("canvas", { class: "layers", "aria-hidden": "true" });
    let seadragon = null;
    let opened = { mpp: [1, 1], size: [1, 1] };
    let ruler = null;

    const item = () => seadragon?.world.getItemAt(0);

    function build() {
      declineStyle();
      const stage = ink.make("div", { class: "deep", role: "application", "aria-label": options.label });
      box.append(stage, ink.scaleBar(ink.roundBar(100)));
      if (ink.facts.synthetic_model) box.append(ink.make("span", { class: "stamp", text: "synthetic model" }));
      seadragon = OpenSeadragon(osdOptions(stage, options.navigator));
      seadragon.canvas.append(canvas); // below the small map, which stands on it
      seadragon.addHandler("update-viewport", draw);
      seadragon.addHandler("resize", () => seadragon.forceRedraw());
      seadragon.addHandler("tile-load-failed", () => options.failed?.());
      seadragon.addHandler("open-failed", () => options.failed?.());
      seadragon.addHandler("canvas-click", (event) => {
        if (!event.quick || !item() || ink.viewTools.measuring) return;
        if (options.click?.(event.position.x, event.position.y, view.frame())) event.preventDefaultAction = true;
      });
      ruler = ink.ruler(seadragon, view);
      view.seadragon = seadragon;
    }

    function draw() {
      if (!item()) return;
      const [width, height, ratio] = [box.clientWidth, box.clientHeight, window.devicePixelRatio || 1];
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const context = canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      const frame = view.frame();
      options.draw?.(context, frame);
      ruler.draw(context, frame);
      showScale();
    }

    function showScale() {
      const bar = ink.roundBar(view.fieldUm());
      const old = box.querySelector(":scope > .scale");
      const shows = `${bar.length_um} ${bar.fraction}`; // both: twice the zoom may have a bar as long, of half the length
      if (old.dataset.shows !== shows) {
        const fresh = ink.scaleBar(bar);
        fresh.dataset.shows = shows;
        old.replaceWith(fresh);
      }
      options.moved?.();
    }

    const view = {
      box,
      get ready() { return Boolean(item()); },

      /** Show an image; `source` as OpenSeadragon takes it. `done` runs when it can be moved. */
      open(source, about, done) {
        if (!seadragon) build();
        opened = about;
        seadragon.addOnceHandler("open", () => {
          if (opened !== about) return;
          if (about.clip) item().setClip(new OpenSeadragon.Rect(0, 0, ...about.clip));
          ruler.forget(about.key);
          done();
          view.applyLight();
        });
        seadragon.open(source);
      },

      /** From pixels of the image to the screen, as it lies at this moment; it may be turned. */
      frame() {
        const at = (x, y) => seadragon.viewport.pixelFromPoint(item().imageToViewportCoordinates(x, y, true), true);
        const { x: width, y: height } = item().getContentSize();
        const [start, right, down] = [at(0, 0), at(width, 0), at(0, height)];
        const [a, b] = [(right.x - start.x) / width, (right.y - start.y) / width];
        const [c, d] = [(down.x - start.x) / height, (down.y - start.y) / height];
        const toScreen = (x, y) => [start.x + a * x + c * y, start.y + b * x + d * y];
        const toImage = (x, y) => {
          const [u, v, all] = [x - start.x, y - start.y, a * d - b * c];
          return [(d * u - c * v) / all, (a * v - b * u) / all];
        };
        const corners = [[0, 0], [box.clientWidth, 0], [0, box.clientHeight], [box.clientWidth, box.clientHeight]].map((corner) => toImage(...corner));
        const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
        return {
          scale: Math.hypot(a, b),
          matrix: [a, b, c, d, start.x, start.y],
          toScreen,
          toImage,
          seen: [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)],
          mpp: opened.mpp,
        };
      },

      /** µm per pixel of the screen, and µm across the view. */
      umPerPx: () => opened.mpp[0] / view.frame().scale,
      fieldUm: () => box.clientWidth * view.umPerPx(),

      /** Zoom to so many µm per pixel of the screen. */
      magnify(umPerPx, immediately) {
        if (!item()) return;
        seadragon.viewport.zoomTo(item().imageToViewportZoom(opened.mpp[0] / umPerPx), null, immediately === true);
        if (immediately) seadragon.viewport.applyConstraints(true);
      },

      /** Zoom so far that `um` fit across the smaller side; never closer than `closest` µm per pixel of the screen. */
      fit(um, closest, immediately) {
        view.magnify(Math.max(closest, um / Math.max(1, Math.min(box.clientWidth, box.clientHeight))), immediately);
      },

      centreOn: (x, y, immediately) => seadragon.viewport.panTo(item().imageToViewportCoordinates(x, y), immediately === true),

      zoomBy(factor) {
        if (!item()) return;
        seadragon.viewport.zoomBy(factor);
        seadragon.viewport.applyConstraints();
      },

      /** Move by tenths of the view, as it lies on the screen. */
      panBy(x, y) {
        if (!item()) return;
        const step = new OpenSeadragon.Point((x * box.clientWidth) / 10, (y * box.clientHeight) / 10);
        seadragon.viewport.panBy(seadragon.viewport.deltaPointsFromPixels(step));
        seadragon.viewport.applyConstraints();
      },

      /** Turn by degrees, clockwise; null turns back. */
      turn(degrees) {
        if (!item()) return;
        seadragon.viewport.setRotation(degrees === null ? 0 : seadragon.viewport.getRotation() + degrees);
      },

      applyLight() {
        if (seadragon?.drawer) seadragon.drawer.canvas.style.filter = `brightness(${tools.brightness}%) contrast(${tools.contrast}%)`;
      },

      /** Whether drags draw lines whose length is written beside them; off removes the lines. */
      measure(on) {
        tools.measuring = on;
        box.classList.toggle("measuring", on);
        if (!on) ruler?.forget(null);
        view.redraw();
      },

      redraw: () => seadragon?.forceRedraw(),

      /** The canvases that make up what is seen, from the bottom, with the filter of the first. */
      canvases: () => [seadragon.drawer.canvas, canvas],
    };
    return view;
  };
})(Inkdot);
