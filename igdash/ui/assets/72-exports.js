/* Exports that are made again and again. A card per schedule, rebuilt only when something about it
   changed; its runs are read when its history is open and a run began or ended. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;
  const LOOK_MS = 2000, PAGE = 10, FEW = 4;
  const cards = new Map();
  let all = { folder: "", buckets: [], formats: [], schedules: [] }, active = false, timer = 0, looking = 0, shownBefore = false;

  const url = (s, rest = "") => "/api/schedules/" + encodeURIComponent(s.id) + rest;
  const every = (seconds) => (seconds % 3600 === 0 ? `every ${seconds / 3600} h` : seconds % 60 === 0 ? `every ${seconds / 60} min` : `every ${seconds} s`);
  const timetable = (when) => (when.every ? every(when.every) : `${ig.crons[when.cron] ? ig.crons[when.cron] + ": " : ""}${when.cron} (${when.zone})`);
  const what = ({ what: w }) => (w.sql ? w.sql : [w.sessions.length ? w.sessions.join(", ") : null, w.gadget, w.namespace && "namespace " + w.namespace,
    w.environment && "environment " + w.environment, w.states.length ? w.states.join(" or ") + " when met" : null, w.filter && "where " + w.filter].filter(Boolean).join(" · ") || "all sessions");
  const next = (s) => {
    if (s.last && s.last.state === "running") return "running";
    if (!s.next) return s.paused ? "paused" : "never";
    const left = Date.parse(s.next) - Date.now();
    return left <= 0 ? "now" : "in " + ig.fmt.duration(Math.max(left, 1000));
  };
  const DOTS = { running: ["wait", "running"], done: ["", "the last run is done"], failed: ["err", "the last run failed"] };
  const dot = (s) => (s.paused ? ["stop", "paused"] : s.last ? DOTS[s.last.state] : ["stop", "no run yet"]);

  /* ---------- runs ---------- */

  const took = (run) => (run.ended ? ig.fmt.duration(Date.parse(run.ended) - Date.parse(run.started)) : "…");
  const link = (file) => (file.url
    ? el("a", { href: file.url, download: "", title: `${ig.fmt.count(file.rows)} rows · ${ig.fmt.bytes(file.bytes)} · SHA-256 ${file.sha256}` }, file.name)
    : el("span", {}, file.name + " "));
  const files = (run) => {
    if (run.state === "failed") return el("span", { class: "exp-reason" }, run.reason);
    if (run.state === "running") return "being written …";
    if (!run.files.length) return el("span", { class: "faint" }, "nothing new");
    const box = el("span", {}, run.files.slice(0, FEW).map(link));
    if (run.files.length > FEW) {
      box.append(el("button", { class: "exp-more", type: "button", on: { click: (e) => { e.target.replaceWith(...run.files.slice(FEW).map(link)); } } }, `${run.files.length - FEW} more`));
    }
    if (run.files[0].url) box.append(link({ ...run.files[0], name: "manifest.json", url: run.files[0].url.replace(/[^/]*$/, "manifest.json"), rows: run.rows, sha256: "of each file is in it" }));
    else box.append(el("span", { class: "faint" }, "at " + run.place));
    return box;
  };
  const row = (run) => el("tr", { data: { run: run.id } },
    el("td", { title: run.started }, ig.fmt.datetime(run.started)), el("td", { class: run.state === "failed" ? "t-err" : null }, run.state),
    el("td", { class: "num" }, ig.fmt.count(run.rows)), el("td", { class: "num" }, ig.fmt.bytes(run.bytes)), el("td", { class: "num" }, took(run)),
    el("td", { class: ["num", run.lost > 0 && "exp-lost"] }, ig.fmt.count(run.lost)), el("td", { class: "exp-files" }, files(run)));
  const head = () => el("thead", {}, el("tr", {}, ["Began", "Result"].map((t) => el("th", { scope: "col" }, t)),
    ["Rows", "Size", "Took", "Lost"].map((t) => el("th", { scope: "col", class: "num" }, t)), el("th", { scope: "col" }, "Files")));
  const readRuns = async (card) => {
    const serial = ++card.serial;
    try {
      const page = await ig.api(url(card.s, "/runs?limit=" + card.limit));
      if (serial !== card.serial) return;
      setText(card.count, page.total ? `History: ${ig.fmt.count(page.total)} ${page.total === 1 ? "run" : "runs"}` : "History: no run yet");
      const more = page.total > page.runs.length ? el("div", { class: "exp-foot" }, el("button", { class: "btn s", type: "button",
        on: { click: () => { card.limit = Math.min(card.limit * 5, 1000); readRuns(card); } } }, "Show more")) : null;
      card.runs.replaceChildren(...[page.runs.length ? el("div", { class: "exp-table", tabindex: "0", role: "region", "aria-label": "Runs of " + card.s.name },
        el("table", {}, head(), el("tbody", {}, page.runs.map(row)))) : el("div", { class: "exp-foot faint" }, "Its first run has everything stored so far."), more].filter(Boolean));
    } catch (error) {
      if (serial === card.serial) card.runs.replaceChildren(el("div", { class: "exp-foot t-err", role: "alert" }, "The runs cannot be read: " + error.message));
    }
  };

  /* ---------- a card ---------- */

  const act = async (button, words, call) => {
    button.classList.add("busy");
    try {
      const told = await call();
      if (words) ig.toast(words, "ok");
      await look();
      return told;
    } catch (error) {
      return ig.toast(error.message, "err");
    } finally {
      button.classList.remove("busy");
    }
  };
  const body = (s, changes) => ({ name: s.name, what: s.what, format: s.format, destination: s.destination, keep: s.keep, paused: s.paused,
    when: s.when.every ? { every: s.when.every } : { cron: s.when.cron, zone: s.when.zone }, ...changes });
  const button = (sign, label, name, fn) => el("button", { class: "btn", type: "button", "aria-label": `${label} ${name}`, data: { act: label.split(" ")[0].toLowerCase() }, on: { click: (e) => fn(e.currentTarget) } }, icon(sign), label);
  const remove = async (s, b) => {
    const yes = await ig.confirm(`“${s.name}”, its history and how far it was are forgotten. The files it made stay in ${s.destination}.`, { title: "Delete the schedule?", action: "Delete" });
    if (yes) act(b, "Deleted.", () => ig.api(url(s), { method: "DELETE" }));
  };
  const buttons = (s) => el("div", { class: "exp-do" },
    button("play", "Run now", s.name, (b) => act(b, "", () => ig.api(url(s, "/run"), { method: "POST" }))),
    s.paused ? button("play", "Resume", s.name, (b) => act(b, "", () => ig.api(url(s), { method: "PUT", body: body(s, { paused: false }) })))
      : button("pause", "Pause", s.name, (b) => act(b, "", () => ig.api(url(s), { method: "PUT", body: body(s, { paused: true }) }))),
    button("sliders", "Edit", s.name, () => ig.scheduleForm(s, all, look)),
    button("trash", "Delete", s.name, (b) => remove(s, b)));
  const fact = (label, value, css) => el("div", {}, el("dt", {}, label), el("dd", { class: css || null }, value));
  const facts = (s) => {
    const last = s.last;
    return el("dl", { class: "exp-facts" }, fact("next run", el("span", { class: "exp-next", title: s.next || null }, next(s))),
      last ? fact("last run", last.state === "running" ? "running" : [last.state + " ", el("span", { data: { ago: last.ended || last.started }, title: last.started }, ig.fmt.ago(last.ended || last.started))], last.state === "failed" ? "t-err" : null) : fact("last run", "none yet"),
      last && last.state === "done" ? [fact("rows", ig.fmt.count(last.rows)), fact("size", ig.fmt.bytes(last.bytes)), fact("lost", ig.fmt.count(last.lost), last.lost > 0 ? "exp-lost" : null)] : null,
      fact("folder", s.destination), fact("keeps", s.keep ? `${s.keep} runs` : "all runs"));
  };
  const why = (s) => (s.last && s.last.state === "failed" ? el("div", { class: "exp-why" }, icon("warn"),
    el("div", {}, s.last.reason, s.failures > 1 ? ` (${s.failures} times in a row)` : null)) : null);
  const build = (s, old) => {
    const [css, words] = dot(s);
    const count = old ? old.count : el("span", {}, "History"), runs = old ? old.runs : el("div", {});
    const history = old ? old.history : el("details", { class: "exp-runs" }, el("summary", {}, icon("right"), count), runs);
    const top = el("div", { class: "exp-top" }, el("span", { class: ["dot", css], role: "img", "aria-label": words, title: words }),
      el("div", {}, el("h2", {}, s.name, el("span", { class: "pill" }, s.format), s.paused ? el("span", { class: "pill" }, "paused") : null),
        el("div", { class: "exp-what" }, timetable(s.when) + " · " + what(s))), buttons(s));
    const parts = [top, why(s), facts(s), history].filter(Boolean);
    if (old) {
      const focused = old.node.contains(document.activeElement) && document.activeElement.dataset.act;
      for (const child of [...old.node.children]) if (child !== history) child.remove();
      old.node.prepend(...parts.slice(0, -1));
      old.node.setAttribute("aria-label", s.name);
      if (focused) { const again = old.node.querySelector(`[data-act="${focused}"]`) || old.node.querySelector("[data-act=run]"); if (again) again.focus(); }
      return Object.assign(old, { s });
    }
    const card = { s, count, runs, history, limit: PAGE, serial: 0, text: "", newest: "", node: el("article", { class: "exp-card", data: { id: s.id }, "aria-label": s.name }, parts) };
    history.addEventListener("toggle", () => { if (history.open) readRuns(card); });
    return card;
  };

  /* ---------- the list ---------- */

  const empty = () => el("div", { class: "empty" }, el("div", { class: "ico" }, icon("download", true)), el("h2", {}, "Nothing is exported by itself yet"),
    el("p", {}, "A schedule writes what is new in your sessions again and again, as JSONL, CSV or Parquet: every event once, each run checked and with its losses counted. A single session is exported from its own page."),
    el("button", { class: "btn primary", type: "button", on: { click: () => ig.scheduleForm(null, all, look) } }, icon("plus"), "New schedule"));
  const times = () => {
    for (const card of cards.values()) {
      setText(card.node.querySelector(".exp-next"), next(card.s));
      for (const node of card.node.querySelectorAll("[data-ago]")) setText(node, ig.fmt.ago(node.dataset.ago));
    }
  };
  const summary = (list) => {
    const failed = list.filter((s) => s.last && s.last.state === "failed").length, paused = list.filter((s) => s.paused).length;
    setText(ig.$("exports-summary"), list.length ? [`${list.length} ${list.length === 1 ? "schedule" : "schedules"}`, failed && `${failed} failed last`, paused && `${paused} paused`].filter(Boolean).join(" · ") : "Files made again and again.");
  };
  const paint = (list) => {
    const box = ig.$("exports-list"), known = new Set(list.map((s) => s.id));
    for (const id of [...cards.keys()]) if (!known.has(id)) cards.delete(id);
    for (const s of list) {
      const text = JSON.stringify(s), old = cards.get(s.id), newest = s.last ? s.last.id + s.last.state : "";
      if (!old || old.text !== text) cards.set(s.id, Object.assign(build(s, old), { text }));
      const card = cards.get(s.id);
      if (card.newest !== newest && card.history.open) readRuns(card);
      card.newest = newest;
    }
    const wanted = list.length ? list.map((s) => cards.get(s.id).node) : shownBefore && box.querySelector(".empty") ? [box.querySelector(".empty")] : [empty()];
    if (wanted.length !== box.children.length || wanted.some((n, i) => box.children[i] !== n)) box.replaceChildren(...wanted);
    shownBefore = true;
    box.removeAttribute("aria-busy");
    ig.$("exports-new").hidden = !list.length;
    summary(list);
    times();
  };
  const look = async () => {
    const serial = ++looking, trouble = ig.$("exports-trouble");
    try {
      const answer = await ig.api("/api/schedules");
      if (serial !== looking) return;
      all = answer;
      trouble.hidden = true;
      paint(answer.schedules);
    } catch (error) {
      if (serial !== looking) return;
      trouble.hidden = false;
      setText(trouble, "The schedules cannot be read: " + error.message);
    }
  };
  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => { if (!active) return; if (!document.hidden) await look(); again(); }, LOOK_MS);
  };

  ig.ready(() => {
    ig.$("exports-new").addEventListener("click", () => ig.scheduleForm(null, all, look));
    ig.onRoute("exports", () => {
      if (active) return;
      active = true;
      look();
      again();
    });
    ig.onLeave("exports", () => { active = false; clearTimeout(timer); });
    setInterval(() => { if (active && !document.hidden) times(); }, 1000);
    ig.key("g x", "Exports", () => ig.nav("/exports"));
  });
})();
