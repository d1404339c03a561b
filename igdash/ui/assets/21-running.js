/* RUNNING NOW. The list is made when the set of sessions changes; numbers are written into the text
   nodes that are already there. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;
  const ASK_MS = 6000, MANY = 6;
  const entries = new Map();

  const coverage = (s) => s.nodes && s.nodes.expected > s.nodes.connected;
  const dotOf = (s) => {
    if (ig.running.paused()) return ["stop", "not collected now: the collector is down"];
    if (s.state === "starting" || s.state === "stopping") return ["wait", s.state];
    if (coverage(s)) return ["warn", `running on ${s.nodes.connected} of ${s.nodes.expected} nodes`];
    return Number(s.lost) > 0 ? ["warn", "running, with losses"] : ["", "running"];
  };
  const restOf = (s) => {
    const several = ig.environments.list.length > 1;
    return [s.name, ...ig.targetRest(s.target), several ? "env " + s.environment : null].filter(Boolean).join(" · ");
  };
  /* "3/3 nodes"; one node that is there needs no words. */
  const nodesOf = (s) => (s.nodes && (s.nodes.expected > 1 || coverage(s)) ? `${s.nodes.connected}/${s.nodes.expected} nodes` : "");

  /* The names of missing nodes, asked for when the number changed. */
  const nameMissing = async (entry, s) => {
    const key = coverage(s) ? `${s.nodes.connected}/${s.nodes.expected}` : "";
    if (entry.named === key) return;
    entry.named = key;
    entry.nodes.title = "";
    if (!key) return;
    try {
      const missing = ((await ig.api("/api/sessions/" + s.id)).coverage || []).filter((n) => n.state !== "connected");
      if (entry.named === key) entry.nodes.title = missing.map((n) => n.node + ": " + (n.reason || "no connection")).join("\n");
    } catch { entry.named = null; }
  };

  /* The row of buttons: View and Stop; Stop turns it into one question while events still flow. */
  const buttons = (s, label) => {
    const view = el("a", { class: "btn s", href: "/sessions/" + s.id, "aria-label": "View " + label }, "View");
    const stop = el("button", { class: "btn s danger", type: "button", "aria-label": "Stop " + label }, "Stop");
    const lost = el("span", { class: "run-lost", hidden: true }), rate = el("span", { class: "run-rate" });
    const row = el("div", { class: "run-a" }, view, stop, lost, rate);
    const really = async (keep) => {
      stop.classList.add("busy");
      if (!(await ig.running.stop(s.id, keep))) stop.classList.remove("busy");
    };
    const ask = () => {
      let timer = 0;
      const back = (focus) => { clearTimeout(timer); row.classList.remove("asking"); box.remove(); if (focus) stop.focus(); };
      const choice = (words, title, css, keep) => el("button", { class: ["btn s", css], type: "button", title, on: { click: () => { back(true); really(keep); } } }, words);
      const yes = s.headless ? choice("Remove it", "Stop, and remove the instance from the nodes", "danger fill", false) : choice("Stop now", null, "danger fill", false);
      const leave = s.headless ? choice("Leave running", "Stop, and leave the instance running on the nodes", "", true) : null;
      const no = el("button", { class: ["btn s", leave && "ghost icon"], type: "button", "aria-label": leave ? "Do not stop" : null, on: { click: () => back(true) } }, leave ? icon("close") : "Keep");
      const box = el("div", { class: "run-ask", role: "group", "aria-label": s.headless ? "Stop: what of the instance on the nodes?" : "Stop while events still arrive?",
        on: { keydown: (e) => { if (e.key === "Escape") { e.stopPropagation(); back(true); } } } },
        s.headless ? null : el("span", {}, "Really stop?"), yes, leave, no);
      const later = () => { clearTimeout(timer); timer = setTimeout(() => back(box.contains(document.activeElement)), ASK_MS); };
      row.classList.add("asking");
      row.append(box);
      box.addEventListener("pointermove", later);
      later();
      yes.focus();
    };
    stop.addEventListener("click", () => (s.headless || ig.running.flows(s) ? ask() : really(false)));
    return { row, stop, lost, rate };
  };

  const make = (s) => {
    const gadget = ig.gadget(s.gadget), label = `${gadget.title}, ${ig.target(s.target)}`;
    const dot = el("span", { class: "dot", role: "img" }), count = el("span", { class: "c" }), age = el("span", { class: "faint" });
    const rest = el("span", { class: "ell" }), nodes = el("span", { class: "nowrap" });
    const below = el("div", { class: "run-rest" }, rest, nodes);
    const spark = ig.spark(s.spark, { color: `var(${gadget.color})`, label: "Events over the last 10 minutes" });
    const act = buttons(s, label);
    const open = el("a", { class: "run-open", href: "/sessions/" + s.id },
      el("span", { class: "run-t" }, dot, el("span", { class: "ell" }, s.title || gadget.title), count),
      el("span", { class: "run-m" }, el("span", { class: "ell", title: ig.target(s.target) }, ig.target(s.target)), age), below);
    const node = el("div", { class: "run", role: "listitem", data: { id: s.id } }, open, spark, act.row);
    return { node, dot, count, age, rest, nodes, below, spark, ...act, drawn: null, named: "" };
  };

  const write = (entry, s) => {
    const [kind, words] = dotOf(s);
    const css = ("dot " + kind).trim();
    if (entry.dot.className !== css || entry.dot.title !== words) {
      entry.dot.className = css;
      entry.dot.title = words;
      entry.dot.setAttribute("aria-label", words);
    }
    setText(entry.count, ig.fmt.count(s.events));
    setText(entry.age, "· " + ig.fmt.age(s.started || s.created));
    const rest = restOf(s);
    setText(entry.rest, rest);
    const cover = nodesOf(s);
    setText(entry.nodes, (rest && cover ? "\u00a0· " : "") + cover);
    entry.nodes.className = coverage(s) ? "nowrap t-warn" : "nowrap";
    entry.below.hidden = !rest && !cover;
    nameMissing(entry, s);
    setText(entry.rate, ig.running.paused() ? "paused" : s.state === "running" ? ig.fmt.rate(s.rate) : s.state + " …");
    const lost = Number(s.lost) > 0;
    if (lost) {
      const text = ig.fmt.count(s.lost);
      if (entry.lost.dataset.text !== text) {
        entry.lost.dataset.text = text;
        entry.lost.title = text + " events lost";
        entry.lost.replaceChildren(icon("warn"), text, el("span", { class: "sr-only" }, " lost"));
      }
    }
    entry.lost.hidden = !lost;
    entry.rate.hidden = lost && String(s.lost).length > 6;
    entry.stop.disabled = s.state === "stopping";
    if (s.state !== "stopping") entry.stop.classList.remove("gone");
    if (s.spark && s.spark !== entry.drawn) { ig.setSpark(entry.spark, s.spark); entry.drawn = s.spark; }
  };

  const highlight = () => {
    const route = ig.route(), id = route && route.view === "session" ? route.id : null;
    for (const [key, entry] of entries) {
      const on = id !== null && key.startsWith(id);
      entry.node.classList.toggle("on", on);
      const link = entry.node.querySelector(".run-open");
      if (on) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };

  const reveal = () => {
    const on = document.querySelector(".run.on");
    if (on) on.scrollIntoView({ block: "nearest" });
  };

  const empty = () => el("div", { class: "empty" }, el("h2", {}, "Nothing is running"),
    el("p", {}, "Pick a gadget to start collecting. Sessions go on when you leave this page."),
    el("a", { class: "btn s", href: "/gadgets" }, icon("grid"), "Pick a gadget"));
  const failed = () => el("div", { class: "empty" }, el("h2", {}, "Not known right now"), el("p", {}, ig.running.error.message + " Trying again …"));

  const rebuild = () => {
    const box = ig.$("runs"), sessions = ig.running.list();
    const focused = document.activeElement && box.contains(document.activeElement) ? document.activeElement : null;
    const ids = new Set(sessions.map((s) => s.id));
    const hadFocus = focused && focused.closest(".run");
    for (const [id, entry] of entries) if (!ids.has(id)) { entry.node.remove(); entries.delete(id); }
    for (const s of sessions) if (!entries.has(s.id)) entries.set(s.id, make(s));
    const wanted = sessions.length ? sessions.map((s) => entries.get(s.id).node) : [empty()];
    if (wanted.length !== box.children.length || wanted.some((n, i) => box.children[i] !== n)) {
      const top = box.scrollTop;
      box.replaceChildren(...wanted);
      box.scrollTop = top;
    }
    if (sessions.length) box.setAttribute("role", "list");
    else box.removeAttribute("role");
    box.setAttribute("aria-busy", "false");
    if (focused && focused.isConnected) focused.focus();
    else if (hadFocus) (box.querySelector("a, button") || box).focus();
    box.classList.toggle("many", sessions.length > MANY);
    setText(ig.$("running-count"), ig.fmt.count(sessions.length));
    numbers();
    highlight();
    reveal();
  };
  const numbers = () => {
    if (!ig.running.loaded) {
      if (ig.running.error) ig.$("runs").replaceChildren(failed());
      return;
    }
    for (const [id, entry] of entries) {
      const s = ig.running.get(id);
      if (s) write(entry, s);
    }
  };

  ig.ready(() => {
    ig.running.onSet(rebuild);
    ig.running.onTick(numbers);
    ig.environments.onChange(numbers);
    ig.onEveryRoute(() => { highlight(); reveal(); });
    document.fonts.ready.then(reveal);
  });
})();
