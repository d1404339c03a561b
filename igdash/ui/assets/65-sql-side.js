/* Beside the editor: what can be asked, what was asked here, what was kept. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon } = ig;
  const TABS = [["views", "Views"], ["history", "History"], ["saved", "Saved"]];
  const EXAMPLES = [
    ["Sessions", "SELECT id, gadget, namespace, state, events, lost\nFROM v_sessions\nORDER BY events DESC"],
    ["Events per gadget", "SELECT s.gadget, count(*) AS sessions, sum(s.events) AS events, sum(s.lost) AS lost\nFROM v_sessions s\nGROUP BY s.gadget\nORDER BY events DESC"],
    ["Losses", "SELECT node, cause, sum(count) AS lost, min(start_time) AS since\nFROM v_losses\nGROUP BY node, cause\nORDER BY lost DESC"],
    ["Busiest pods", "SELECT namespace, pod, count(*) AS events\nFROM v_events\nGROUP BY namespace, pod\nORDER BY events DESC\nLIMIT 20"],
  ];

  /** Fill the panel. `use(text, run)` takes a statement, `insert(text)` a name. Answers {views(list), redraw()}. */
  ig.sql.side = (root, { use, insert }) => {
    let tab = "views", known = null, problem = "", find = "";
    const open = new Set();
    const body = el("div", { class: "sqlp-list", role: "tabpanel", tabindex: "0" });
    const tabs = TABS.map(([key, name]) => el("button", { type: "button", role: "tab", "aria-selected": String(key === tab), on: { click: () => show(key) } }, name));
    const bar = el("div", { class: "tabs", role: "tablist", "aria-label": "Beside the editor" }, tabs);
    bar.addEventListener("keydown", (e) => {
      const at = TABS.findIndex(([key]) => key === tab), to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[e.key];
      if (to === undefined) return;
      const next = (to + TABS.length) % TABS.length;
      show(TABS[next][0]);
      tabs[next].focus();
    });

    const column = (c) => el("button", { class: "sqlp-col", type: "button", title: c.description || c.type, on: { click: () => insert(c.name) } },
      el("span", { class: "ell" }, c.name), el("small", {}, c.type));
    const view = (v) => {
      const needle = find.toLowerCase();
      const hits = !needle || v.name.includes(needle) ? v.columns : v.columns.filter((c) => c.name.includes(needle));
      if (!hits.length) return null;
      const isOpen = open.has(v.name) || (needle !== "" && hits.length < v.columns.length);
      const node = el("details", { class: "sqlp-view", open: isOpen },
        el("summary", { title: v.description }, icon("right"), el("b", { class: "ell" }, v.name), el("span", { class: "faint mono" }, hits.length)),
        el("div", { class: "sqlp-viewdo" },
          el("button", { class: "btn s", type: "button", on: { click: () => insert(v.name) } }, "Insert name"),
          el("button", { class: "btn s", type: "button", on: { click: () => use(first(v), true) } }, "Show rows")),
        hits.map(column));
      node.addEventListener("toggle", () => { if (node.open) open.add(v.name); else open.delete(v.name); });
      return node;
    };
    const first = (v) => `SELECT *\nFROM ${v.name}${v.columns.some((c) => c.name === "ts") ? "\nORDER BY ts DESC" : ""}\nLIMIT 100`;
    const views = () => {
      if (problem) return [el("p", { class: "sqlp-hint" }, problem)];
      if (!known) return [el("div", { class: "sk", style: { margin: "12px" } })];
      const input = el("input", { type: "search", placeholder: "Find a column", "aria-label": "Find a view or column", value: find });
      const list = el("div", {}, known.map(view));
      input.addEventListener("input", () => { find = input.value.trim(); list.replaceChildren(...known.map(view).filter(Boolean)); });
      const seen = known.some((v) => v.gadget);
      return [el("div", { class: "q sqlp-find" }, icon("search"), input), list,
        seen ? null : el("p", { class: "sqlp-hint" }, "A gadget gets a view of its own, with a column per field, once a session of it was started."),
        el("h2", { class: "sqlp-sub" }, "To begin with"), EXAMPLES.map(([name, text]) => entry(name, text))];
    };
    const entry = (name, text, about, remove) => el("div", { class: "sqlp-entry" },
      el("button", { type: "button", title: text, on: { click: () => use(text, false) } }, el("span", { class: "ell" }, name), about ? el("small", {}, about) : null),
      remove ? el("button", { class: "btn ghost s icon", type: "button", "aria-label": "Remove " + name, on: { click: remove } }, icon("trash")) : null);
    const history = () => {
      const list = ig.sql.history();
      if (!list.length) return [el("p", { class: "sqlp-hint" }, "Statements you run are listed here, in this browser alone.")];
      return [list.map((e) => entry(e.sql.replace(/\s+/g, " "), e.sql, (e.error ? "failed" : `${ig.fmt.count(e.rows)} rows · ${ig.fmt.duration(e.ms)}`) + " · " + ig.fmt.ago(e.at))),
        el("button", { class: "btn s sqlp-clear", type: "button", on: { click: () => { ig.sql.forget(); redraw(); } } }, "Clear history")];
    };
    const saved = () => {
      const list = ig.sql.saved();
      if (!list.length) return [el("p", { class: "sqlp-hint" }, "Save keeps the statement under a name, in this browser alone. To pass one on, copy its link.")];
      return list.map((e) => entry(e.name, e.sql, e.sql.replace(/\s+/g, " "), () => { ig.sql.remove(e.name); redraw(); }));
    };
    const PARTS = { views, history, saved };
    const redraw = () => {
      const parts = PARTS[tab]().flat(2).filter(Boolean);
      body.replaceChildren(...parts);
      body.setAttribute("aria-label", TABS.find(([key]) => key === tab)[1]);
    };
    const show = (key) => {
      tab = key;
      tabs.forEach((node, i) => { const on = TABS[i][0] === key; node.setAttribute("aria-selected", String(on)); node.tabIndex = on ? 0 : -1; });
      redraw();
    };
    root.replaceChildren(bar, body);
    show(tab);
    return { views: (list, why) => { known = list; problem = why || ""; if (tab === "views") redraw(); }, redraw: () => { if (tab !== "views") redraw(); }, show };
  };
})();
