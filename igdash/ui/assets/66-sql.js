/* The SQL page: one statement at a time, its answer below. The address holds the statement. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;
  const START = "SELECT gadget, namespace, state, events, lost\nFROM v_sessions\nORDER BY events DESC\n";
  const node = (id) => ig.$("sql-" + id);
  let editor = null, making = null, side = null, facts = null, running = null, answer = null, asked = null, shown = "table", picture = {}, wanted = "", offered = null, later = 0, turn = 0;

  const busy = (on) => {
    node("run").disabled = on;
    node("explain").disabled = on;
    node("cancel").hidden = !on;
    node("root").classList.toggle("busy", on);
  };

  /* ---------- what is said about the statement ---------- */

  const note = (...parts) => node("note").replaceChildren(...parts.filter(Boolean));
  const place = (text, position) => {
    const before = text.slice(0, position - 1), line = before.split("\n").length;
    return `line ${line}, column ${before.length - before.lastIndexOf("\n")}`;
  };
  const wordAt = (text, at) => { const m = /^("[^"]*"|[\w$.]+|\S)/.exec(text.slice(at)); return at + (m ? m[0].length : 1); };
  const HELP = {
    403: "Only SELECT over the views listed beside the editor is possible here.",
    408: "Narrow it down: a session_id and a range of seq make it quick, as events are found by them.",
    413: "Ask for fewer columns or rows, or for less to sort and group at once.",
    503: "Try again in a moment.",
  };
  const fail = (text, error) => {
    const problem = error.problem || {};
    if (problem.position) editor.mark(problem.position - 1, wordAt(text, problem.position - 1));
    const where = problem.position ? ` (${place(text, problem.position)})` : "";
    note(el("div", { class: "sqlp-error", role: "alert" }, icon("warn"), el("div", {}, el("b", {}, (problem.detail || error.message) + where), HELP[problem.status] ? el("p", {}, HELP[problem.status]) : null)));
    answer = null;
    result();
  };
  const told = (a, ms) => {
    const parts = [`${ig.fmt.count(a.rows.length)} ${a.rows.length === 1 ? "row" : "rows"}`, ig.fmt.duration(a.elapsed_ms), a.engine === "sqlite" ? "SQLite" : "PostgreSQL"];
    if (ms - a.elapsed_ms > 500) parts.push(ig.fmt.duration(ms) + " with the way here");
    note(el("span", { class: "sqlp-ok" }, icon("check"), parts.join(" · ")),
      a.truncated ? el("span", { class: "sqlp-cut" }, icon("warn"), `There is more: cut at ${ig.fmt.count(a.rows.length)} rows (the limit is ${ig.fmt.count(facts ? facts.limits.rows : 100000)} rows or 32 MiB).`) : null);
  };
  const wait = (began) => {
    const most = facts ? facts.limits.seconds : 10;
    const bar = el("i", {}), words = el("span", { class: "muted" });
    note(el("div", { class: "sqlp-wait" }, el("span", { class: "dot wait" }), words, el("span", { class: "sqlp-progress", "aria-hidden": "true" }, bar)));
    const tick = () => {
      const s = (performance.now() - began) / 1000;
      setText(words, `Running … ${s.toFixed(1)} s of at most ${most} s`);
      bar.style.width = Math.min(100, (s / most) * 100) + "%";
    };
    tick();
    return setInterval(tick, 100);
  };

  /* ---------- the answer ---------- */

  const empty = (title, text) => el("div", { class: "empty" }, el("h2", {}, title), el("p", {}, text));
  const button = (text, sign, fn) => el("button", { class: "btn s", type: "button", on: { click: fn } }, icon(sign), text);
  const result = () => {
    const root = node("result");
    if (!answer) {
      root.replaceChildren(empty("Ask the stored events", "Write a SELECT and press Ctrl-Enter. Every session's events are there, running or ended; click a view or a column to use its name."));
      return;
    }
    const pick = (name) => { shown = name; ig.setParam("view", name === "chart" ? "chart" : null); result(); };
    const modes = el("div", { class: "sqlp-modes", role: "group", "aria-label": "Show as" }, ["table", "chart"].map((name) =>
      el("button", { class: "btn s toggle", type: "button", "aria-pressed": String(shown === name), on: { click: () => pick(name) } }, name === "table" ? "Table" : "Chart")));
    const bar = el("div", { class: "sqlp-resultbar" }, modes, el("span", { class: "sp" }),
      button("CSV", "download", () => ig.sql.download(answer, "csv")), button("JSON lines", "download", () => ig.sql.download(answer, "jsonl")),
      Object.assign(button("Parquet", "download", parquet), { title: "Written by the server: the statement runs once more" }));
    const main = !answer.rows.length ? empty("No rows", "The statement is right; nothing matches it.")
      : shown === "chart" ? ig.sql.chart(answer, picture, (now) => { picture = now; }) : ig.sql.grid(answer);
    root.replaceChildren(bar, main);
  };

  /* ---------- running ---------- */

  /* Wait for a statement, with its clock; `work` hears the answer and the ms it took. */
  const follow = async (began, job, work, failed) => {
    const timer = wait(began);
    busy(true);
    running = job;
    try {
      work(await job.done, performance.now() - began);
    } catch (error) {
      if (error.name === "AbortError") note(el("span", { class: "muted" }, "Cancelled after " + ig.fmt.duration(performance.now() - began) + "."));
      else failed(error);
    } finally {
      clearInterval(timer);
      running = null;
      busy(false);
      side.redraw();
    }
  };
  const run = (explain = false) => {
    if (running || !editor) return;
    const text = editor.text();
    if (!text.trim()) { editor.focus(); return; }
    editor.mark(null);
    ig.setParam("q", text);
    const show = (found, ms) => {
      answer = found;
      asked = { text, explain };
      if (explain) shown = "table";
      told(answer, ms);
      result();
      if (!explain) ig.sql.remember({ sql: text, at: new Date().toISOString(), rows: answer.rows.length, ms: answer.elapsed_ms });
    };
    follow(performance.now(), ig.sql.start(text, explain), show, (error) => {
      fail(text, error);
      if (!explain) ig.sql.remember({ sql: text, at: new Date().toISOString(), rows: 0, ms: 0, error: error.message });
    });
  };
  const parquet = () => {
    if (running || !asked) return;
    const file = (blob) => { ig.sql.hand(blob, "igdash-sql.parquet"); told(answer, answer.elapsed_ms); };
    follow(performance.now(), ig.sql.start(asked.text, asked.explain, "parquet"), file, (error) => {
      told(answer, answer.elapsed_ms);
      ig.toast("No Parquet file: " + error.message, "err");
    });
  };
  const cancel = () => { if (running) running.cancel(); };

  /* ---------- saving and passing on ---------- */

  const save = () => {
    const input = el("input", { class: "input", "aria-label": "Name", maxlength: "80", value: "" });
    const keep = (e) => {
      e.preventDefault();
      const name = input.value.trim();
      if (!name) { input.focus(); return; }
      ig.sql.save(name, editor.text());
      dialog.close();
      side.show("saved");
      ig.toast(`Saved as “${name}” in this browser`, "ok");
    };
    const form = el("form", { class: "body", on: { submit: keep } }, el("label", {}, el("span", { class: "muted" }, "Name"), input));
    const dialog = ig.dialog({ class: "dlg ask" }, el("h2", {}, "Save this statement"), form, el("div", { class: "f" },
      el("button", { class: "btn", type: "button", on: { click: () => dialog.close() } }, "Cancel"), el("button", { class: "btn primary", type: "button", on: { click: keep } }, "Save")));
    input.focus();
  };
  const share = () => {
    const url = new URL("/sql", location.origin);
    url.searchParams.set("q", editor.text());
    if (shown === "chart") for (const [key, value] of Object.entries({ view: "chart", ...picture })) url.searchParams.set(key, value);
    url.searchParams.set("run", "1");
    ig.copyText(url.href);
  };

  /* ---------- beginning ---------- */

  const use = (text, go) => {
    if (!editor) return;
    editor.set(text);
    editor.mark(null);
    node("root").classList.remove("drawer");
    if (go) run(); else editor.focus();
  };
  const describe = async () => {
    try {
      facts = await ig.sql.describe();
    } catch (error) {
      side.views([], error.message);
      setText(node("facts"), error.message);
      return;
    }
    const { limits, engine, views } = facts;
    setText(node("facts"), `${engine === "sqlite" ? "SQLite" : "PostgreSQL"}, read only · at most ${limits.seconds} s, ${ig.fmt.count(limits.rows)} rows, ${Math.round(limits.memory_bytes / 1048576)} MiB`);
    side.views(views);
    offered = null;
    offer();
  };
  /* What completion offers: the views, the functions, and the columns of the views that the statement
     names, or of all while it names none. */
  const offer = () => {
    if (!facts || !editor) return;
    const words = new Set(editor.text().toLowerCase().match(/\w+/g));
    const named = facts.views.filter((v) => words.has(v.name));
    const now = named.map((v) => v.name).join();
    if (now === offered) return;
    offered = now;
    const names = [...facts.functions, ...(named.length ? named : facts.views).flatMap((v) => v.columns.map((c) => c.name))];
    editor.schema(facts.engine, Object.assign(Object.fromEntries(names.map((name) => [name, []])),
      Object.fromEntries(facts.views.map((v) => [v.name, v.columns.map((c) => c.name)]))));
  };
  const make = async () => {
    editor = await ig.sql.editor(node("editor"), node("root").dataset.editor, {
      doc: wanted || START, label: "SQL statement", hint: "SELECT … FROM v_events", onRun: () => run(),
      onChange: () => { clearTimeout(later); later = setTimeout(offer, 150); },
    });
    side = ig.sql.side(node("side"), { use, insert: (text) => editor.insert(text) });
    node("run").addEventListener("click", () => run());
    node("explain").addEventListener("click", () => run(true));
    node("cancel").addEventListener("click", cancel);
    node("save").addEventListener("click", save);
    node("share").addEventListener("click", share);
    node("schema").addEventListener("click", () => node("root").classList.toggle("drawer"));
    result();
  };

  ig.onRoute("sql", async (route) => {
    const q = route.params.get("q"), auto = route.params.get("run") === "1";
    wanted = q || "";
    if (route.params.get("view") === "chart") { shown = "chart"; picture = { kind: route.params.get("kind"), x: route.params.get("x"), y: route.params.get("y") }; }
    making = making || make();
    const mine = ++turn;
    await making;
    if (mine !== turn) return; // another view has the address now
    if (q && editor.text() !== q) use(q, false);
    await describe();
    if (mine !== turn) return;
    for (const key of ["run", "kind", "x", "y"]) ig.setParam(key, null);
    if (auto && q) run();
    else editor.focus();
  });
  ig.onLeave("sql", () => { turn += 1; cancel(); });
  document.addEventListener("keydown", (e) => {
    const here = ig.route() && ig.route().view === "sql" && !document.querySelector("dialog[open]");
    if (!here) return;
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && !e.defaultPrevented) { e.preventDefault(); run(); }
    if (e.key === "Escape" && running && !e.defaultPrevented) cancel();
  });
  ig.key("g q", "SQL", () => ig.nav("/sql"));
})();
