/* Keys. Whoever has a key registers it here with its words, so the help sheet lists what exists and
   nothing else. Keys rest while one types, while a dialog or a menu is open and when a modifier is held. */
(() => {
  "use strict";
  const ig = window.igdash;
  const SEQUENCE_MS = 1200;
  const known = [];
  let prefix = "", timer = 0;

  const typing = (node) => node && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));

  /** Register a key: "p", "/", "?", "Escape", "ArrowDown" or a sequence "g s".
      `label: "-"` keeps one of several alike out of the sheet.
      Options: view (only there), group (heading in the sheet), label (how the sheet writes it).
      fn(event) may answer false: then whoever had the key before gets it, at last the browser. */
  ig.key = (keys, help, fn, { view = null, group = null, label = null } = {}) => {
    known.push({ keys, help, fn, view, label, group: group || (view ? "In this view" : "Everywhere") });
  };

  const fits = (entry) => !entry.view || (ig.route() && ig.route().view === entry.view);
  const find = (keys) => known.filter((k) => k.keys === keys && fits(k)).reverse();

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target) || document.querySelector("dialog[open],.menu:popover-open")) return;
    const keys = prefix ? prefix + " " + event.key : event.key;
    clearTimeout(timer);
    prefix = "";
    const hits = find(keys);
    if (hits.length) {
      if (hits.some((hit) => hit.fn(event) !== false)) event.preventDefault();
    } else if (known.some((k) => k.keys.startsWith(keys + " ") && fits(k))) {
      prefix = keys;
      timer = setTimeout(() => { prefix = ""; }, SEQUENCE_MS);
    }
  });

  /** The key whose help begins with these words, "" = none. */
  ig.keyFor = (help) => (known.find((k) => k.help.startsWith(help) && !k.view) || { keys: "" }).keys;

  const NAMES = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };
  const caps = (entry) => (entry.label || entry.keys).split(" ").map((k) => ig.el("kbd", {}, NAMES[k] || k)).flatMap((k) => [k, " "]);

  const sheet = () => {
    const groups = new Map();
    const listed = (entry) => fits(entry) && entry.label !== "-";
    for (const entry of known.filter(listed)) {
      if (!groups.has(entry.group)) groups.set(entry.group, []);
      groups.get(entry.group).push(entry);
    }
    const parts = [...groups].map(([name, entries]) => ig.el("section", { class: "keys-group" }, ig.el("h3", {}, name),
      ig.el("dl", {}, entries.map((e) => ig.el("div", {}, ig.el("dt", {}, caps(e)), ig.el("dd", {}, e.help))))));
    const close = ig.el("button", { class: "btn", type: "button", on: { click: () => node.close() } }, "Close");
    const node = ig.dialog({ class: "dlg keys" }, ig.el("h2", {}, "Keys"), ig.el("div", { class: "body", tabindex: "0" }, parts), ig.el("div", { class: "f" }, close));
    close.focus();
  };
  ig.help = sheet;

  ig.key("g g", "Gadgets", () => ig.nav("/gadgets"));
  ig.key("g s", "Sessions", () => ig.nav("/sessions"));
  ig.key("g e", "Environments", () => ig.nav("/environments"));
  ig.key("?", "This list", sheet);
})();
