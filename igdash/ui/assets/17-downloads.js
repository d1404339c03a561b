/* Exports as files: fetched as a stream, so that a card in the corner can say how far it is and stop
   it, whatever view is on. What a page should not hold goes to the browser's own download. A file that
   breaks off is not saved: half an export looks like a whole one. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;
  const MOST = 256e6, GROWN = 1.3; // bytes kept in the page at most; of a stored byte this many are exported
  const STAY_MS = 8000, PAINT_MS = 120;
  const NEWLINE = 10, QUOTE = 34;
  const FORMATS = [
    { name: "JSONL", query: "format=jsonl", what: "one event per line, with seq, time and node" },
    { name: "JSONL as ig prints it", query: "format=jsonl&plain=true", what: "only the gadget’s own lines" },
    { name: "CSV", query: "format=csv", what: "flattened columns for spreadsheets" },
    { name: "Parquet", query: "format=parquet", what: "typed columns for data frames and DuckDB" },
    { name: "Report", query: "format=html", what: "one page to read and print, without network" },
  ];
  let under = 0;

  /* ---------- counting what goes by ---------- */

  const lines = () => (bytes) => {
    let n = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) n++;
    return n;
  };
  /* Rows end outside of quotes only; the first one names the columns. */
  const rows = () => {
    let quoted = false, head = 1;
    return (bytes) => {
      let n = 0;
      for (let at = 0; at < bytes.length; at++) {
        if (bytes[at] === QUOTE) quoted = !quoted;
        else if (bytes[at] === NEWLINE && !quoted) n++;
      }
      const skipped = Math.min(head, n);
      head -= skipped;
      return n - skipped;
    };
  };
  const counter = (format) => ({ jsonl: lines, csv: rows }[format] || (() => null))();

  /* ---------- one export ---------- */

  const nameOf = (response) => (/filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") || "") || [])[1] || "igdash-export";

  const hand = (blob, name) => {
    const url = URL.createObjectURL(blob), link = el("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  const card = (title, cancel) => {
    const parts = {
      name: el("b", { class: "ell" }, title), text: el("span", { class: "muted xp-text" }, "asking …"),
      bar: el("progress", { max: "1", "aria-label": "Export of " + title }),
      stop: el("button", { class: "btn s", type: "button", on: { click: () => cancel() } }, "Cancel"),
    };
    const node = el("div", { class: "xp", role: "group", "aria-label": "Export" }, icon("download"),
      el("div", { class: "xp-what" }, parts.name, parts.text, parts.bar), parts.stop);
    const away = ig.toast.keep(node);
    const over = (kind, text) => {
      node.classList.add(kind);
      setText(parts.text, text);
      parts.text.setAttribute("role", kind === "err" ? "alert" : "status");
      parts.bar.remove();
      const timer = kind === "err" ? 0 : setTimeout(away, STAY_MS);
      parts.stop.replaceWith(el("button", { class: "btn s ghost icon", type: "button", "aria-label": "Dismiss", on: { click: () => { clearTimeout(timer); away(); } } }, icon("close")));
    };
    return { ...parts, over };
  };

  const told = (n, total, unit, bytes) => {
    const size = ig.fmt.bytes(bytes);
    if (n === null) return size + " written so far";
    return (total ? `${ig.fmt.count(n)} of ${ig.fmt.count(Math.max(n, total))} ${unit}` : `${ig.fmt.count(n)} ${unit} so far`) + " · " + size;
  };

  const problemOf = async (response) => {
    let problem = {};
    try { problem = await response.json(); } catch { /* not ours: the status must do */ }
    return Object.values(problem.problems || {}).join("; ") || problem.detail || "the server answered " + response.status;
  };

  const follow = async (href, one, { total, unit, signal, count }) => {
    const response = await fetch(href, { signal, credentials: "same-origin" });
    if (!response.ok) throw Object.assign(new Error(await problemOf(response)), { told: true });
    const name = nameOf(response), parts = [], reader = response.body.getReader();
    let bytes = 0, n = count ? 0 : null, painted = 0;
    setText(one.name, name);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      bytes += value.length;
      if (count) n += count(value);
      if (performance.now() - painted < PAINT_MS) continue;
      painted = performance.now();
      setText(one.text, told(n, total, unit, bytes));
      if (n !== null && total) one.bar.value = Math.min(1, n / total);
    }
    return { blob: new Blob(parts, { type: response.headers.get("Content-Type") || "" }), name, n, bytes };
  };

  const start = async (href, session, query) => {
    const format = query.get("format"), plain = query.get("plain") === "true", part = ["filter", "from", "to"].some((name) => query.has(name));
    const stop = new AbortController(), ticks = plain && session.ticks > 0;
    const unit = ticks ? "ticks" : "events", total = part || format === "html" ? 0 : Number(ticks ? session.ticks : session.events);
    const one = card(`${ig.gadget(session.gadget).title}, ${format}`, () => stop.abort());
    under += 1;
    try {
      const { blob, name, n, bytes } = await follow(href, one, { total, unit, signal: stop.signal, count: counter(format) });
      ig.exports.hand(blob, name);
      one.over("ok", (n === null ? "" : ig.fmt.count(n) + " " + unit + " · ") + ig.fmt.bytes(bytes) + " · saved");
    } catch (error) {
      if (error.name === "AbortError") one.over("warn", "Cancelled; nothing was saved");
      else one.over("err", error.told ? error.message : "The connection broke off; nothing was saved");
    }
    under -= 1;
  };

  /* ---------- for menus and the palette ---------- */

  const address = (session, query) => `/api/sessions/${encodeURIComponent(session.id)}/export?${query}`;

  /** Whether this is left to the browser, which saves to the disk as it reads. */
  const large = (session, query) => new URLSearchParams(query).get("format") !== "html" && Number(session.bytes) * GROWN > MOST;

  /** A link to an export; a plain click shows how far it is, any other does what links do. */
  const link = (attrs, session, query, ...children) => {
    const node = el("a", { ...attrs, href: address(session, query), download: "" }, ...children);
    node.addEventListener("click", (e) => {
      if (e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
      e.preventDefault();
      go(session, query);
    });
    return node;
  };
  /** Begin an export; fulfilled when it is over, or the browser has it. */
  const go = async (session, query) => {
    if (!large(session, query)) return start(address(session, query), session, new URLSearchParams(query));
    const node = el("a", { href: address(session, query), download: "", hidden: true });
    document.body.append(node);
    node.click();
    node.remove();
    ig.toast("A large file: the browser saves it as it comes. Its list of downloads shows how far it is and can cancel it.");
  };
  /** A file for each, one after the other. */
  const each = async (sessions, query) => { for (const session of sessions) await go(session, query); };

  ig.exports = { formats: FORMATS, link, go, each, hand };
  /* An export ends with its page; the browser asks whether that is meant. */
  window.addEventListener("beforeunload", (e) => { if (under > 0) e.preventDefault(); });
})();
