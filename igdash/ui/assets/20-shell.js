/* The frame comes alive: theme, drawer, navigation, environments, the collector's state. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;

  /* ---------- theme: as the system, light, dark ---------- */

  const KEY = "igdash-theme";
  const system = matchMedia("(prefers-color-scheme: light)");
  const MODES = { system: ["monitor", "as the system"], light: ["sun", "light"], dark: ["moon", "dark"] };
  const mode = () => {
    let saved = null;
    try { saved = localStorage.getItem(KEY); } catch { /* storage may be forbidden */ }
    return saved === "light" || saved === "dark" ? saved : "system";
  };
  const paint = (wanted) => {
    const theme = wanted === "system" ? (system.matches ? "light" : "dark") : wanted;
    const before = document.documentElement.dataset.bsTheme;
    document.documentElement.dataset.bsTheme = theme;
    const button = ig.$("theme-button");
    if (button) {
      const [sign, words] = MODES[wanted];
      button.firstElementChild.className = "i i-" + sign;
      button.setAttribute("aria-label", "Theme: " + words);
      button.title = "Theme: " + words;
    }
    if (before !== theme) document.dispatchEvent(new CustomEvent("igdash:theme", { detail: theme }));
  };
  const setMode = (wanted) => {
    try {
      if (wanted === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, wanted);
    } catch { /* then it lasts until the reload */ }
    paint(wanted);
  };
  const nextMode = () => {
    const names = Object.keys(MODES);
    setMode(names[(names.indexOf(mode()) + 1) % names.length]);
  };
  system.addEventListener("change", () => paint(mode()));
  window.addEventListener("storage", (e) => { if (e.key === KEY) paint(mode()); });

  /* ---------- drawer of narrow screens ---------- */

  const drawer = (open) => {
    const shell = ig.$("shell"), was = shell.classList.contains("drawer");
    if (was === open) return;
    shell.classList.toggle("drawer", open);
    ig.$("main").inert = open;
    ig.$("menu-button").setAttribute("aria-expanded", String(open));
    ig.$("menu-button").setAttribute("aria-label", open ? "Close menu" : "Menu");
    if (open) ig.$("nav-gadgets").focus();
    else ig.$("menu-button").focus();
  };

  /* ---------- navigation ---------- */

  const mark = (route) => {
    const session = route.view === "session" && !ig.running.get(route.id);
    const on = { "nav-gadgets": route.view === "gadgets" || route.view === "start", "nav-sessions": route.view === "sessions" || session, "nav-environments": route.view === "environments", "nav-sql": route.view === "sql", "nav-exports": route.view === "exports" };
    for (const [id, active] of Object.entries(on)) {
      ig.$(id).classList.toggle("on", active);
      if (active) ig.$(id).setAttribute("aria-current", "page");
      else ig.$(id).removeAttribute("aria-current");
    }
  };
  const navCount = (id, n) => setText(ig.$(id).querySelector(".n"), n === null ? "" : ig.fmt.count(n));
  const countSessions = async () => {
    try { navCount("nav-sessions", (await ig.api("/api/sessions?limit=1")).total); } catch { /* the banner says it */ }
  };

  /* ---------- environments ---------- */

  const HEALTH = { up: ["", "up"], down: ["err", "down"], unknown: ["wait", "not known yet"] };
  const nodesOf = (e) => {
    const cover = ig.environments.coverage(e), n = cover ? cover.expected : (e.nodes || []).length;
    if (!n) return null;
    return (cover && cover.connected < n ? cover.connected + "/" : "") + n + (n === 1 ? " node" : " nodes");
  };
  const facts = (e) => [ig.environments.kind(e.kind),
    nodesOf(e),
    /^(ig\s+)?v?\d/.test(e.version || "") ? "ig " + e.version.replace(/^ig\s+/, "") : null].filter(Boolean).join(" · ");
  const dot = (health) => {
    const [name, words] = HEALTH[health] || HEALTH.unknown;
    return el("span", { class: ["dot", name], role: "img", "aria-label": words, title: words });
  };
  const one = (e) => [el("div", { class: "env-one" }, dot(e.health),
    el("div", { style: { "min-width": "0" } }, el("b", { class: "ell" }, e.name), el("small", { class: "ell" }, facts(e)))),
    e.health === "down" && e.reason ? el("div", { class: "env-why" }, e.reason) : null];
  const environments = (list) => {
    const box = ig.$("env-box"), open = box.querySelector("details[open]");
    if (!list.length) {
      box.replaceChildren(el("div", { class: "env-one" }, dot("down"), el("div", {}, el("b", {}, "No environment"), el("small", {}, "Add one to the configuration file"))));
      return;
    }
    if (list.length === 1) { box.replaceChildren(...one(list[0]).filter(Boolean)); return; }
    const count = (h) => list.filter((e) => e.health === h).length;
    const words = [[count("up"), "up"], [count("down"), "down"], [count("unknown"), "unknown"]].filter(([n]) => n).map((x) => x.join(" ")).join(" · ");
    box.replaceChildren(el("details", { class: "env-all", open: !!open },
      el("summary", { class: "env-one" }, dot(count("down") === list.length ? "down" : count("up") ? "up" : "unknown"),
        el("div", {}, el("b", {}, list.length + " environments"), el("small", {}, words)), icon("down")),
      el("div", { class: "env-list" }, list.map(one))));
  };

  /* ---------- the collector's state: footer and banner ---------- */

  let downSince = 0, shown = "";
  const state = () => {
    const stats = ig.live.stats, status = ig.live.status;
    if (status === "lost") return "lost";
    if (!stats) return "connecting";
    if (stats.collector === "down") return "down";
    return stats.trouble ? "trouble" : "up";
  };
  const FOOT = { lost: ["err", "No connection to igdash"], connecting: ["stop", "Connecting …"], down: ["err", "Collector is down"] };
  const foot = (now) => {
    const stats = ig.live.stats;
    const lag = stats && (stats.lag_ms < 10000 ? Math.round(stats.lag_ms) + " ms" : ig.fmt.duration(stats.lag_ms));
    const [kind, words] = FOOT[now] || [now === "trouble" ? "warn" : "", `${ig.fmt.rate(stats.rate).replace("/s", " ev/s")} written · lag ${lag}`];
    const node = ig.$("foot-dot"), css = ("dot " + kind).trim();
    if (node.className !== css) node.className = css;
    setText(ig.$("foot-text"), words);
    const title = stats && stats.trouble ? stats.trouble : "Events written per second, and how old the oldest unwritten one is";
    if (ig.$("foot-text").title !== title) ig.$("foot-text").title = title;
  };
  const since = () => (downSince ? ` Since ${ig.fmt.clock(downSince)} (${ig.fmt.age(downSince)}).` : "");
  const BANNERS = {
    lost: () => ["err", "igdash does not answer.", " Trying again …" + since() + " Sessions go on collecting if only the web server is away."],
    down: () => ["err", "The collector is down.", " History stays readable; nothing new is collected until it is back." + since()],
    trouble: (stats) => ["warn", "Writing is held up:", ` ${stats.trouble}.` + (stats.backlog_bytes ? ` ${ig.fmt.bytes(stats.backlog_bytes)} received wait on disk, nothing is lost yet.` : "") + since()],
  };
  const banner = (now) => {
    const node = ig.$("collector-banner"), make = BANNERS[now];
    if (now !== shown) {
      const told = ig.live.stats && ig.live.stats.since;
      downSince = make ? (told ? Date.parse(told) : Date.now()) : 0;
      shown = now;
      node.hidden = !make;
    }
    if (!make) return;
    const [kind, head, rest] = make(ig.live.stats);
    const text = head + rest;
    if (node.dataset.text === text) return;
    node.dataset.text = text;
    node.className = "banner " + kind;
    node.replaceChildren(icon("warn"), el("div", {}, el("b", {}, head), rest));
  };
  const health = () => {
    const now = state();
    foot(now);
    banner(now);
    ig.$("shell").classList.toggle("paused", now === "down" || now === "lost");
  };

  ig.ready(() => {
    paint(mode());
    ig.$("theme-button").addEventListener("click", nextMode);
    ig.$("help-button").addEventListener("click", () => ig.help());
    ig.$("menu-button").addEventListener("click", () => drawer(!ig.$("shell").classList.contains("drawer")));
    ig.$("scrim").addEventListener("click", () => drawer(false));
    document.addEventListener("keydown", (e) => {
      if (e.key === "Escape" && ig.$("shell").classList.contains("drawer") && !document.querySelector("dialog[open]")) drawer(false);
    });
    ig.onEveryRoute((route) => {
      mark(route);
      if (ig.$("shell").classList.contains("drawer")) { ig.$("shell").classList.remove("drawer"); ig.$("main").inert = false; ig.$("menu-button").setAttribute("aria-expanded", "false"); }
    });
    ig.environments.onChange((list) => {
      environments(list);
      navCount("nav-environments", list.length);
      navCount("nav-gadgets", ig.gadgets().filter((g) => !ig.environments.whyNot(g.name)).length);
    });
    ig.running.onSet(() => { countSessions(); if (ig.route()) mark(ig.route()); });
    ig.live.on(health);
    ig.live.onStatus(health);
    setInterval(health, 1000);
  });
  ig.key("t", "Theme: system, light, dark", nextMode);
})();
