/* Where gadgets can run. A card per environment; it is rebuilt only when what is known of it changed,
   and what counts down is written into the text that is there. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;
  const LOOK_MS = 5000, MANY = 60;
  const HEALTH = { up: ["", "up"], down: ["err", "down"], unknown: ["stop", "not known yet"] };
  const STATES = { connected: ["", "connected"], waiting: ["warn", "no connection"], failed: ["err", "refused"], ended: ["stop", "gone"] };
  const EXAMPLE = '[[environments]]\nname = "this-host"\nkind = "ig-daemon"\naddress = "unix:///var/run/ig/ig.socket"\n\n' +
    '[[environments]]\nname = "cluster"\nkind = "kubernetes"\ncontext = ""            # the kubeconfig\'s current one\n';
  const cards = new Map();
  let timer = 0, looking = 0, active = false;

  const seconds = (moment) => Math.max(0, Math.round((Date.parse(moment) - Date.now()) / 1000));
  const next = (e) => {
    if (e.health !== "down" || !e.next_try) return "";
    const left = seconds(e.next_try);
    return left ? `Tried again in ${ig.fmt.duration(left * 1000)}.` : "Trying again …";
  };

  /* ---------- the parts of a card ---------- */

  const why = (e) => {
    if (e.health === "up" || (!e.reason && e.health === "unknown")) return null;
    return el("div", { class: ["envs-why", e.health] }, icon(e.health === "down" ? "warn" : "info"),
      el("div", {}, e.reason || "It does not answer.", el("small", { class: "envs-next" }, next(e))));
  };

  const fact = (label, value, css) => el("div", {}, el("dt", {}, label), el("dd", { class: css }, value));
  const nodes = (e) => {
    const cover = ig.environments.coverage(e);
    if (cover) return fact("nodes connected", `${cover.connected} / ${cover.expected}`, cover.connected < cover.expected ? "short" : null);
    return (e.nodes || []).length ? fact("nodes", ig.fmt.count(e.nodes.length)) : null;
  };
  const gadgets = (e) => fact("gadgets", e.gadgets.length ? ig.fmt.count(e.gadgets.length) + " found" : "all of the catalogue");
  const facts = (e, sessions) => el("dl", { class: "envs-facts" }, nodes(e), gadgets(e),
    e.version ? fact("version", e.version) : null, el("div", {}, el("dt", {}, "sessions running"), el("dd", {}, sessions)));

  const node = (one) => {
    const [css, words] = STATES[one.state] || STATES.ended;
    const told = [one.version, one.state === "connected" ? null : words].filter(Boolean).join(" · ");
    const since = one.since ? el("span", { data: { since: one.since } }, ig.fmt.age(one.since)) : null;
    return el("li", {}, el("span", { class: ["dot", css], role: "img", "aria-label": words, title: words }),
      el("b", { class: "ell", title: one.node }, one.node), el("span", { class: "faint nowrap", title: one.since || null }, told, told && since ? " · " : null, since),
      one.reason ? el("span", { class: "why" }, one.reason) : null);
  };
  const nodeList = (e) => {
    const cover = [...(e.coverage || [])].sort((a, b) => (a.state === "connected") - (b.state === "connected"));
    if (!cover.length) return e.nodes.length > 1 ? el("div", { class: "envs-nodes" }, el("div", { class: "envs-plain" }, e.nodes.join(", "))) : null;
    const list = el("ul", { tabindex: "0", "aria-label": "Nodes of " + e.name }, cover.slice(0, MANY).map(node));
    if (cover.length > MANY) {
      const more = el("button", { class: "btn s", type: "button", on: { click: () => list.replaceChildren(...cover.map(node)) } }, `Show all ${cover.length} nodes`);
      list.append(el("li", {}, el("span", {}), more));
    }
    return el("div", { class: "envs-nodes" }, list);
  };
  const rights = (e) => ((e.rights || []).length
    ? el("ul", { class: "envs-rights", "aria-label": "Missing rights" }, e.rights.map((right) => el("li", {}, icon("warn"), el("span", {}, "Missing right: " + right)))) : null);

  const build = (e) => {
    const [css, words] = HEALTH[e.health] || HEALTH.unknown;
    const test = el("button", { class: "btn", type: "button", "aria-label": "Test " + e.name, on: { click: () => ask(e.name) } }, icon("refresh"), "Test");
    const sessions = el("a", { href: "/sessions?state=running&environment=" + encodeURIComponent(e.name) }, "–");
    const asked = el("div", { class: "envs-end", hidden: true, role: "status" });
    const card = el("article", { class: ["envs-card", e.health], data: { name: e.name }, "aria-label": e.name },
      el("div", { class: "envs-top" }, el("span", { class: ["dot", css], role: "img", "aria-label": words, title: words }),
        el("div", {}, el("h2", {}, e.name, el("span", { class: "pill" }, ig.environments.kind(e.kind)), e.health === "up" ? null : el("span", { class: ["pill", e.health === "down" && "t-err"] }, words)),
          e.place ? el("div", { class: "envs-place" }, e.place) : null), test),
      why(e), facts(e, sessions), rights(e), nodeList(e), e.headless ? ig.environmentInstances(e.name) : null, asked);
    return { node: card, test, asked, sessions, text: "", e };
  };

  /* ---------- the list ---------- */

  const counts = () => {
    for (const [name, card] of cards) {
      setText(card.sessions, ig.fmt.count(ig.running.list().filter((s) => s.environment === name).length));
      for (const age of card.node.querySelectorAll("[data-since]")) setText(age, ig.fmt.age(age.dataset.since));
      const told = card.node.querySelector(".envs-next");
      if (told) setText(told, next(card.e));
    }
  };
  const summary = (list) => {
    const n = (health) => list.filter((e) => e.health === health).length;
    const words = [[n("up"), "up"], [n("down"), "down"], [n("unknown"), "not known yet"]].filter(([count]) => count).map((x) => x.join(" "));
    setText(ig.$("envs-summary"), list.length ? [list.length + " configured", ...words].join(" · ") : "Where gadgets can run.");
  };
  const empty = () => el("div", { class: "empty" }, el("div", { class: "ico" }, icon("server", true)), el("h2", {}, "No environment is configured"),
    el("p", {}, "igdash needs to know where Inspektor Gadget runs. Put this into its configuration file and start it again; docs/configuration.md lists every kind."),
    el("div", { class: "envs-how" }, el("pre", { tabindex: "0", "aria-label": "Example of a configuration" }, EXAMPLE)));

  const paint = (list) => {
    const box = ig.$("envs-list"), names = new Set(list.map((e) => e.name));
    for (const name of [...cards.keys()]) if (!names.has(name)) cards.delete(name);
    for (const e of list) {
      const { next_try: _, suggestions: __, ...shown } = e;
      const text = JSON.stringify(shown), old = cards.get(e.name);
      if (old && old.text === text) { old.e = e; continue; }
      const focused = document.activeElement;
      const inside = old && old.node.contains(focused);
      const made = build(e);
      made.text = text;
      if (old) {
        made.asked.textContent = old.asked.textContent;
        made.asked.hidden = old.asked.hidden;
        if (old.test.classList.contains("busy")) made.test.classList.add("busy");
        old.node.replaceWith(made.node);
        if (inside) (made.node.contains(focused) ? focused : made.test).focus({ preventScroll: true });
      }
      cards.set(e.name, made);
    }
    const wanted = list.length ? list.map((e) => cards.get(e.name).node) : [empty()];
    if (wanted.length !== box.children.length || wanted.some((n, i) => box.children[i] !== n)) box.replaceChildren(...wanted);
    box.removeAttribute("aria-busy");
    ig.$("envs-refresh").hidden = !list.length;
    summary(list);
    counts();
  };

  /* ---------- asking anew ---------- */

  const told = (name, words) => {
    const card = cards.get(name);
    if (!card) return;
    card.asked.hidden = false;
    setText(card.asked, words);
  };
  const ask = async (name) => {
    const busy = (on) => { const card = cards.get(name); if (card) card.test.classList.toggle("busy", on); };
    const began = performance.now();
    busy(true);
    try {
      const e = await ig.api(`/api/environments/${encodeURIComponent(name)}/test`, { method: "POST" });
      const took = ig.fmt.duration(performance.now() - began);
      await ig.environments.refresh();
      told(name, e.health === "up" ? `Answered in ${took}, ${ig.fmt.clock(Date.now())}.` : `Asked at ${ig.fmt.clock(Date.now())}: ${e.health === "down" ? "does not answer" : "not known yet"} (${took}).`);
    } catch (error) {
      told(name, "Could not be tested: " + error.message);
    } finally {
      busy(false);
    }
  };
  const askAll = () => { for (const name of cards.keys()) ask(name); };

  ig.ready(() => {
    ig.$("envs-refresh").addEventListener("click", askAll);
    ig.environments.onChange(paint);
    ig.running.onSet(counts);
    ig.onRoute("environments", () => {
      if (active) return;
      active = true;
      ig.environments.refresh();
      timer = setInterval(() => { counts(); }, 1000);
      look();
    });
    ig.onLeave("environments", () => { active = false; clearInterval(timer); clearTimeout(looking); });
  });
  /* More often than in the background while somebody looks. */
  const look = () => { looking = setTimeout(() => { if (!document.hidden) ig.environments.refresh(); look(); }, LOOK_MS); };
})();
