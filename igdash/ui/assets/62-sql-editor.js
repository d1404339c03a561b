/* The editor: CodeMirror, fetched when the page is first shown. Without it (a broken download) a plain
   text area takes its place, so that one can always ask. */
(() => {
  "use strict";
  const ig = window.igdash;

  const load = (address) => new Promise((resolve, reject) => {
    if (window.igdashEditor) { resolve(); return; }
    const script = ig.el("script", { src: address });
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("the editor could not be loaded")));
    document.head.append(script);
  });

  const plain = (parent, { doc, label, hint, onRun, onChange }) => {
    const area = ig.el("textarea", { class: "input sqlp-plain", "aria-label": label, placeholder: hint, spellcheck: "false" });
    area.value = doc;
    area.addEventListener("input", () => onChange(area.value));
    area.addEventListener("keydown", (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); onRun(); } });
    parent.append(area);
    return {
      text: () => area.value,
      set: (text) => { area.value = text; onChange(text); },
      insert: (text) => { area.setRangeText(text, area.selectionStart, area.selectionEnd, "end"); onChange(area.value); area.focus(); },
      focus: () => area.focus(),
      mark: (from, to) => { if (from !== null) { area.focus(); area.setSelectionRange(from, to); } },
      schema: () => {},
      selection: () => area.value.slice(area.selectionStart, area.selectionEnd),
    };
  };

  /** Make the editor in `parent`; answers its handle (scripts/editor/entry.js has its words). */
  ig.sql.editor = async (parent, address, options) => {
    try {
      await load(address);
      return window.igdashEditor(parent, options);
    } catch {
      return plain(parent, options);
    }
  };
})();
