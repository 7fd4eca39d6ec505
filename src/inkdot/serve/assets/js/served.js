// Differences from the exported page: the reader is known, verdicts are saved on the server. Runs before app.js.
"use strict";

(function (ink) {
  const help = ink.showHelp;

  ink.setting.write("reader", ink.store.reader);

  ink.saveVerdicts = function () {
    if (ink.store.unsaved()) {
      ink.announce("Some verdicts are not on the server yet.");
      return;
    }
    const link = ink.make("a", { href: "verdicts.csv", download: "verdicts.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    ink.announce("Your verdicts are saved on the server; verdicts.csv is a copy.");
  };

  ink.showHelp = function () {
    help();
    const words = [...ink.at("help").querySelectorAll("p")].at(-1);
    if (words) words.textContent = "Every verdict is saved on the server at once. You see your own verdicts only.";
  };

  /** Adapt names and buttons. */
  function adaptPage() {
    const field = ink.at("reader");
    field.readOnly = true;
    field.title = "Reader names are set when the server is started";
    ink.at("save").firstChild.textContent = "Download verdicts";
    ink.at("save").classList.remove("primary");
    const home = ink.make("a", { class: "to-worklist", href: "./", text: "All slides" });
    document.querySelector(".top .brand").after(home);
  }

  adaptPage();
})(Inkdot);
