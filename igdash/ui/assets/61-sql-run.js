/* Statements: run, cancelled, remembered. What an answer looks like is 63 and 64's. */
(() => {
  "use strict";
  const ig = window.igdash;
  const sql = (ig.sql = {});
  const HISTORY = "igdash-sql-history", SAVED = "igdash-sql-saved", KEEP = 60;
  const read = (key, fallback) => {
    try { return JSON.parse(localStorage.getItem(key)) || fallback; } catch { return fallback; }
  };
  const write = (key, value) => {
    try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* then only this page knows */ }
  };

  /** Statements that ran here, newest first: {sql, at, rows, ms, error}. */
  sql.history = () => read(HISTORY, []);
  sql.remember = (entry) => write(HISTORY, [entry, ...sql.history().filter((e) => e.sql !== entry.sql)].slice(0, KEEP));
  sql.forget = () => write(HISTORY, []);
  /** Saved statements by name, kept in this browser: [{name, sql}]. */
  sql.saved = () => read(SAVED, []);
  sql.save = (name, text) => write(SAVED, [...sql.saved().filter((e) => e.name !== name), { name, sql: text }].sort((a, b) => a.name.localeCompare(b.name)));
  sql.remove = (name) => write(SAVED, sql.saved().filter((e) => e.name !== name));

  const newId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");

  /** Run a statement. Answers {done: Promise<answer>, cancel()}, of another format than json
      Promise<Blob>; a cancelled one rejects with an AbortError. The request is cut as well, so that the server notices even if the DELETE is lost. */
  sql.start = (text, explain, format = "json") => {
    const id = newId(), stop = new AbortController();
    const done = ig.api("/api/sql", { method: "POST", body: { sql: text, explain, id, format }, signal: stop.signal, blob: format !== "json" });
    return { done, cancel: () => { ig.api("/api/sql/" + id, { method: "DELETE" }).catch(() => {}); stop.abort(); } };
  };
  sql.describe = () => ig.api("/api/sql");

  /* ---------- files ---------- */

  const RISKY = /^[=+\-@\t\r\n＝＋－＠]/;
  const isNumber = (value) => typeof value === "number" || ig.isBig(value);
  sql.text = (value) => (value === null || value === undefined ? "" : typeof value === "object" && !ig.isBig(value) ? JSON.stringify(value) : String(value));
  const cell = (value) => {
    const text = isNumber(value) || typeof value !== "string" ? sql.text(value) : RISKY.test(value) ? "'" + value : value;
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const json = (value) => (ig.isBig(value) ? String(value) : JSON.stringify(value === undefined ? null : value));
  const names = (columns) => {
    const out = [];
    for (const c of columns) {
      let name = c.name, n = 2;
      while (out.includes(name)) name = `${c.name}_${n++}`;
      out.push(name);
    }
    return out;
  };
  const csv = (a) => [a.columns.map((c) => cell(c.name)), ...a.rows.map((r) => r.map(cell))].map((r) => r.join(",") + "\r\n");
  const jsonl = (a) => {
    const keys = names(a.columns).map((n) => JSON.stringify(n));
    return a.rows.map((r) => "{" + r.map((v, i) => keys[i] + ":" + json(v)).join(",") + "}\n");
  };
  sql.rowJson = (columns, row) => "{" + names(columns).map((n, i) => JSON.stringify(n) + ":" + json(row[i])).join(", ") + "}";
  /** Hand the answer to the browser as a file. */
  sql.download = (answer, kind) => {
    const parts = kind === "csv" ? csv(answer) : jsonl(answer);
    sql.hand(new Blob(parts, { type: kind === "csv" ? "text/csv" : "application/x-ndjson" }), "igdash-sql." + kind);
  };
  sql.hand = (blob, name) => {
    const url = URL.createObjectURL(blob);
    const link = ig.el("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };
})();
