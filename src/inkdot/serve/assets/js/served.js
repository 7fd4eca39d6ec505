// What differs from the page that is handed over: the reader is known, verdicts are kept by the server. Before app.js.
"use strict";

(function (ink) {
  const help = ink.showHelp;

  ink.setting.write("reader", ink.store.reader);

  ink.saveVerdicts = function () {
    if (ink.store.unsaved()) {
      ink.say("Some verdicts are still on their way to the server.");
      return;
    }
    const link = ink.make("a", { href: "verdicts.csv", download: "verdicts.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    ink.say("Your verdicts are kept by the server; verdicts.csv is a copy of them.");
  };

  ink.showHelp = function () {
    help();
    const words = [...ink.at("help").querySelectorAll("p")].at(-1);
    if (words) words.textContent = "Every verdict is kept by the server at once. You see your own verdicts only.";
  };

  /** Names and buttons that mean something else where a server stands behind the page. */
  function dress() {
    const field = ink.at("reader");
    field.readOnly = true;
    field.title = "Readers are named when the server is started";
    ink.at("save").firstChild.textContent = "Download verdicts";
    ink.at("save").classList.remove("primary");
    const home = ink.make("a", { class: "to-worklist", href: "./", text: "All slides" });
    document.querySelector(".top .brand").after(home);
  }

  dress();
})(Inkdot);
