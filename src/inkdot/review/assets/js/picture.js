// Saving what is seen as an image with its scale bar and where it comes from, and links to one place.
"use strict";

(function (ink) {
  const MARGIN = 12; // CSS pixels
  const LINE = 18;

  /** What a saved image says below its pixels. The slide is named as on this page; no score, call or verdict. */
  function captionLines(slide, region, umPerPx) {
    const where = region ? ` · region ${region.rank} · ${ink.regionWords(slide, region).mm}` : "";
    const scale = `${ink.magnificationWords(umPerPx)} on the screen, ${umPerPx.toFixed(3)} µm per pixel; slide ${+slide.mpp[0].toFixed(4)} µm per pixel`;
    const model = ink.facts.model_sha256 ? `Inkdot, model ${ink.facts.model_sha256.slice(0, 12)}${ink.facts.synthetic_model ? ", trained on synthetic specimens" : ""}` : "Inkdot";
    const synthetic = slide.synthetic ? ["Synthetic slide: made by a program, not scanned."] : [];
    const use = document.querySelector(".top .research-use").textContent;
    const nuclei = ink.nucleiCaption(region);
    return [...synthetic, `${slide.id}${where}`, scale, ...(nuclei ? [nuclei] : []), `${model}. ${use}`];
  }

  function drawBar(context, view, width, height) {
    const bar = ink.roundBar(view.fieldUm());
    const [length, words] = [bar.fraction * width, ink.length(bar.length_um)];
    const [right, bottom] = [width - 18, height - 18];
    context.fillStyle = "rgba(0, 0, 0, .62)";
    context.fillRect(right - length - 8, bottom - 24, length + 16, 32);
    context.fillStyle = "#fff";
    context.fillRect(right - length, bottom, length, 4);
    context.font = "600 14px system-ui, 'DejaVu Sans', sans-serif";
    context.textAlign = "center";
    context.fillText(words, right - length / 2, bottom - 6);
    context.textAlign = "start";
  }

  /** The view as a canvas: pixels, outlines and measured lines as they are seen, a scale bar, and a caption below. */
  function picture(view, lines) {
    const [pixels, over] = view.canvases();
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [view.box.clientWidth, view.box.clientHeight];
    const whole = document.createElement("canvas");
    const context = whole.getContext("2d");
    context.font = "13px system-ui, 'DejaVu Sans', sans-serif";
    const rows = lines.flatMap((text) => wrapped(context, text, width - 2 * MARGIN));
    whole.width = Math.round(width * ratio);
    whole.height = Math.round((height + rows.length * LINE + 2 * MARGIN) * ratio);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, whole.width, whole.height);
    context.filter = pixels.style.filter || "none";
    context.drawImage(pixels, 0, 0, whole.width, Math.round(height * ratio));
    context.filter = "none";
    context.drawImage(over, 0, 0, whole.width, Math.round(height * ratio));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawBar(context, view, width, height);
    context.font = "13px system-ui, 'DejaVu Sans', sans-serif";
    context.fillStyle = "#111";
    context.textBaseline = "top";
    rows.forEach((text, index) => context.fillText(text, MARGIN, height + MARGIN + index * LINE));
    return whole;
  }

  function wrapped(context, text, width) {
    const rows = [""];
    for (const word of text.split(" ")) {
      const longer = `${rows.at(-1)} ${word}`.trim();
      if (context.measureText(longer).width <= width || rows.at(-1) === "") rows[rows.length - 1] = longer;
      else rows.push(word);
    }
    return rows;
  }

  function download(address, name) {
    const link = ink.make("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }

  const fileName = (slide, region) => `${slide.id.replace(/[^\p{L}\p{N}._-]+/gu, "-")}${region ? `-region-${region.rank}` : ""}`;

  /**
   * Save what is seen. A page opened from disk may not read the pixels of its own images: it opens the region's file,
   * which has a scale bar and a caption of its own.
   */
  ink.savePicture = function (view, slide, region) {
    const canvas = picture(view, captionLines(slide, region, view.umPerPx()));
    try {
      canvas.toBlob((blob) => {
        const address = URL.createObjectURL(blob);
        download(address, `${fileName(slide, region)}.png`);
        setTimeout(() => URL.revokeObjectURL(address), 10_000);
      }, "image/png");
      ink.announce("The view was saved as an image.");
    } catch {
      window.open(region.context, "_blank", "noopener");
      ink.announce("The image with its scale bar opens beside this page: save it from there.");
    }
  };

  /** The part of the address after # that leads to a region; slides are counted from 1. */
  ink.placeHash = (slide, region) => `#${ink.facts.slides.indexOf(slide) + 1}${region ? `/${region.rank}` : ""}`;

  /** [number of the slide from 0, rank of the region or null] that an address leads to. */
  ink.placeOf = function (hash) {
    const [, number, rank] = /^#(\d+)(?:\/(\d+))?$/.exec(hash) ?? [];
    return [Number(number) - 1, rank === undefined ? null : Number(rank)];
  };

  /** Copy the address of a region. */
  ink.copyLink = async function (slide, region) {
    const address = location.href.replace(/#.*$/, "") + ink.placeHash(slide, region);
    try {
      await navigator.clipboard.writeText(address);
      ink.announce("The link to this place was copied.");
    } catch {
      ink.announce("The link to this place is in the address bar.");
    }
  };
})(Inkdot);
