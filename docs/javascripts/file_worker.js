// A Worker for pages opened from disk: browsers refuse real workers to file:// pages, and the search of the site runs in
// one. This runs the worker's script in a hidden frame instead. It replaces a script that the theme would load from elsewhere.
(() => {
  if (location.protocol !== "file:") return;
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.frame = frame.contentWindow;
      this.frame.deliver = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        this.onmessage?.(event);
      };
      const page = this.frame.document;
      page.open();
      page.write("<!doctype html><script>postMessage = (data) => setTimeout(() => deliver(data)); importScripts = () => {};</script>");
      page.write(`<script src="${url}"></script>`);
      page.close();
      this.ready = new Promise((resolve) => {
        if (page.readyState === "complete") resolve();
        else this.frame.addEventListener("load", resolve);
      });
    }
    postMessage(data) {
      this.ready.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.frame.frameElement.remove();
    }
  };
})();
