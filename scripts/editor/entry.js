/* The SQL page's editor: CodeMirror 6 with what the page uses, as one script without a loader.
   `make editor` (scripts/editor/build) writes it to igdash/ui/assets/0-vendor/codemirror.lazy.js. */
import { EditorState, Compartment, StateEffect, StateField } from "@codemirror/state";
import { EditorView, Decoration, keymap, lineNumbers, drawSelection, highlightActiveLine, highlightSpecialChars, placeholder } from "@codemirror/view";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { syntaxHighlighting, HighlightStyle, bracketMatching } from "@codemirror/language";
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, acceptCompletion } from "@codemirror/autocomplete";
import { sql, SQLite, PostgreSQL } from "@codemirror/lang-sql";
import { tags } from "@lezer/highlight";

/* Colours are the page's own, so that both themes need no second style. */
const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent-text)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--ok-text)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warn-text)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--faint)", fontStyle: "italic" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--muted)" },
]);

const setError = StateEffect.define();
const wrong = Decoration.mark({ class: "cm-wrong", attributes: { "aria-invalid": "true" } });
const errors = StateField.define({
  create: () => Decoration.none,
  update(marks, tr) {
    for (const effect of tr.effects) if (effect.is(setError)) return effect.value ? Decoration.set([wrong.range(...effect.value)]) : Decoration.none;
    return tr.docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const language = (engine, schema) => sql({
  dialect: engine === "postgresql" ? PostgreSQL : SQLite, schema, upperCaseKeywords: true,
});

window.igdashEditor = (parent, { doc = "", label, hint, onRun, onChange }) => {
  const words = new Compartment();
  const run = () => { onRun(); return true; };
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc,
      extensions: [
        lineNumbers(), highlightSpecialChars(), history(), drawSelection(), highlightActiveLine(),
        bracketMatching(), closeBrackets(), autocompletion({ icons: false }), errors,
        syntaxHighlighting(colours), placeholder(hint), EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off" }),
        words.of(language("sqlite", {})),
        keymap.of([
          { key: "Mod-Enter", run }, { key: "Tab", run: acceptCompletion },
          ...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap,
        ]),
        EditorView.updateListener.of((update) => { if (update.docChanged) onChange(update.state.doc.toString()); }),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    set(text) { view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }); },
    insert(text) {
      view.dispatch(view.state.replaceSelection(text));
      view.focus();
    },
    focus: () => view.focus(),
    /** Underline what is wrong; null takes the mark away. Offsets count from 0. */
    mark(from, to) {
      const size = view.state.doc.length;
      const start = from === null ? null : Math.min(from, Math.max(0, size - 1));
      view.dispatch({ effects: setError.of(start === null || !size ? null : [start, Math.max(start + 1, Math.min(to, size))]) });
    },
    schema(engine, schema) { view.dispatch({ effects: words.reconfigure(language(engine, schema)) }); },
    selection: () => view.state.sliceDoc(view.state.selection.main.from, view.state.selection.main.to),
  };
};
