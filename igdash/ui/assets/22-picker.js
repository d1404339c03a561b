/* The picker: which of several running sessions of one gadget? Its address is /gadgets?pick=<gadget>,
   so it can be linked to, and Back closes it. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;
  const WORDS = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"];
  let dialog = null, gadget = null, cameFromHere = false, ends = [];
  const rows = new Map();

  const names = (text) => ig.target({ namespace: text }).split(" / ")[0];
  const title = (target) => {
    const ns = target.namespace, pod = target.pod;
    const where = !ns ? "all namespaces" : ns.startsWith("!") ? "all namespaces " + names(ns).replace(/^all /, "") :
      names(ns) + (ns.includes(",") ? " namespaces" : " namespace");
    const pods = pod ? ig.target({ pod }).split(" / ")[1] : "all pods";
    return [el("b", {}, where), ` (${pods})`];
  };

  const makeRow = (s) => {
    const facts = el("span", { class: "pick-facts" }), dot = el("span", { class: "dot", "aria-hidden": "true" });
    const rest = [s.name, ...ig.targetRest(s.target), ig.environments.list.length > 1 ? "env " + s.environment : null].filter(Boolean).join(" · ");
    const lost = el("span", { class: "run-lost", hidden: true });
    const node = el("a", { class: "opt", href: "/sessions/" + s.id, data: { id: s.id }, tabindex: "-1",
      on: { focus: () => choose(node), click: go } },
      dot, el("span", { class: "x" }, el("span", {}, title(s.target || {})), rest ? el("span", { class: "pick-rest" }, rest) : null, facts), lost,
      el("span", { class: "btn s pick-view", "aria-hidden": "true" }, "View"));
    return { node, facts, dot, lost };
  };
  const writeRow = (row, s) => {
    setText(row.facts, `${ig.fmt.count(s.events)} events · ${ig.fmt.rate(s.rate)} · started ${ig.fmt.ago(s.started || s.created)}`);
    const css = ig.running.paused() ? "dot stop" : s.state !== "running" ? "dot wait" : Number(s.lost) > 0 ? "dot warn" : "dot";
    if (row.dot.className !== css) row.dot.className = css;
    row.lost.hidden = !(Number(s.lost) > 0);
    if (!row.lost.hidden && row.lost.dataset.n !== String(s.lost)) {
      row.lost.dataset.n = s.lost;
      row.lost.replaceChildren(icon("warn"), ig.fmt.count(s.lost) + " lost");
    }
  };

  const choose = (node) => {
    for (const { node: other } of rows.values()) {
      other.classList.toggle("on", other === node);
      other.tabIndex = other === node ? 0 : -1;
    }
  };
  const go = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button) return;
    event.preventDefault();
    const href = event.currentTarget.getAttribute("href");
    shut();
    ig.nav(href, { replace: !cameFromHere ? false : true });
  };

  const draw = () => {
    const list = dialog.querySelector(".pick-list"), sessions = ig.running.of(gadget);
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.id : null;
    for (const id of [...rows.keys()]) if (!sessions.some((s) => s.id === id)) rows.delete(id);
    for (const s of sessions) if (!rows.has(s.id)) rows.set(s.id, makeRow(s));
    if (!ig.running.loaded) list.replaceChildren(...[1, 2].map(() => el("div", { class: "opt" }, el("div", { class: "sk", style: { width: "70%", height: "30px" } }))));
    else list.replaceChildren(...sessions.map((s) => rows.get(s.id).node));
    const n = sessions.length;
    setText(dialog.querySelector("p"), !ig.running.loaded ? "Looking …" :
      `${WORDS[n] || ig.fmt.count(n)} session${n === 1 ? "" : "s"} of this gadget ${n === 1 ? "is" : "are"} running.`);
    numbers();
    if (!n) { if (ig.running.loaded) dialog.querySelector(".btn.primary").focus(); return; }
    const again = focused && rows.get(focused);
    const inside = dialog.contains(document.activeElement) && document.activeElement.matches(".f .btn") && rows.size && list.dataset.seen;
    list.dataset.seen = "1";
    if (again) again.node.focus();
    else if (!inside) rows.get(sessions[0].id).node.focus();
    else choose(rows.get(sessions[0].id).node);
  };
  const numbers = () => { for (const [id, row] of rows) { const s = ig.running.get(id); if (s) writeRow(row, s); } };

  const onKey = (event) => {
    const nodes = [...dialog.querySelectorAll(".pick-list a")];
    if (!nodes.length) return;
    const at = nodes.indexOf(document.activeElement), last = nodes.length - 1;
    const to = { ArrowDown: at < last ? at + 1 : 0, ArrowUp: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    nodes[to].focus();
  };

  /* Closing by the user leaves the address; `shut` only takes the box away. */
  const shut = () => {
    if (!dialog) return;
    const node = dialog;
    dialog = null;
    for (const end of ends.splice(0)) end();
    rows.clear();
    node.close();
  };
  const cancelled = () => {
    if (!dialog) return;
    dialog = null;
    for (const end of ends.splice(0)) end();
    rows.clear();
    const card = document.querySelector(`.cards [data-gadget="${CSS.escape(gadget)}"]`);
    if (cameFromHere) history.back();
    else { const url = new URL(location.href); url.searchParams.delete("pick"); ig.nav(url.pathname + url.search, { replace: true }); }
    if (card) card.focus({ preventScroll: true });
  };

  const open = (name) => {
    gadget = name;
    const its = ig.gadget(name);
    const create = el("a", { class: "btn primary", href: "/start/" + encodeURIComponent(name), on: { click: go } }, "Create New Session");
    dialog = ig.dialog({ class: "dlg pick", on: { keydown: onKey, close: cancelled } },
      el("div", { class: "pick-head" }, el("span", { class: "ico", style: { "--k": `var(${its.color})` }, "aria-hidden": "true" }, its.letters),
        el("div", {}, el("h2", {}, `Select ${its.title} session`), el("p", { class: "muted" }))),
      el("div", { class: "pick-list" }),
      el("div", { class: "f" }, el("span", { class: "pick-keys", "aria-hidden": "true" }, el("kbd", {}, "↑"), " ", el("kbd", {}, "↓"), " ", el("kbd", {}, "Enter")),
        el("button", { class: "btn", type: "button", on: { click: () => dialog.close() } }, "Cancel"), create));
    ends = [ig.running.onTick(numbers)];
    draw();
    ends.push(ig.running.onSet(() => dialog && draw()));
  };

  let previous = null;
  ig.onEveryRoute((route) => {
    const wanted = route.view === "gadgets" ? route.params.get("pick") : null;
    if (!wanted) shut();
    else if (!dialog || gadget !== wanted) {
      shut();
      cameFromHere = previous !== null;
      open(wanted);
    }
    previous = route;
  });
})();
