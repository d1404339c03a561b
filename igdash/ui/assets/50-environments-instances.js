/* The headless instances of an environment: asked for when somebody opens the list, for the question
   goes to its nodes. One panel per environment, which cards that are made anew take over as it is. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon, setText } = ig;
  const DOTS = { running: ["", "running"], failed: ["err", "failed"] };
  const panels = new Map();

  /** The running session that has or reads this instance already, else undefined. */
  const reader = (one) => ig.running.list().find((s) => s.instance === one.id || (s.headless && "igdash-" + s.id === one.name));

  const collect = async (environment, one, button) => {
    button.classList.add("busy");
    try {
      const session = await ig.api("/api/sessions", { method: "POST", body: { gadget: one.gadget, environment, instance: one.id } });
      ig.running.refresh();
      ig.nav("/sessions/" + session.id);
    } catch (error) {
      const problems = Object.values(error.problem.problems || {}).join("; ");
      ig.toast("Could not collect from it: " + (problems || error.message), "err");
    } finally {
      button.classList.remove("busy");
    }
  };

  const action = (environment, one, label) => {
    const read = reader(one);
    if (read) return el("a", { class: "btn s", href: "/sessions/" + read.id, "aria-label": "View the session of " + label }, "View session");
    if (one.state === "failed") return el("span", {});
    const button = el("button", { class: "btn s", type: "button", "aria-label": "Collect from " + label, title: "A session that reads it, and never removes it" }, "Collect");
    button.addEventListener("click", () => collect(environment, one, button));
    return button;
  };

  const row = (environment, one) => {
    const [css, words] = DOTS[one.state] || ["stop", one.state];
    const label = one.name || one.id.slice(0, 12), nodes = one.nodes.length;
    const told = [words, nodes > 1 ? nodes + " nodes" : null, one.created ? ig.fmt.age(one.created) : null].filter(Boolean).join(" · ");
    return el("li", {}, el("span", { class: ["dot", css], role: "img", "aria-label": words, title: words }),
      el("div", { class: "envs-inst-who" }, el("b", { class: "ell", title: one.id }, label),
        el("span", { class: "muted", title: one.image }, ig.gadget(one.gadget).title), one.tags.map((tag) => el("span", { class: "pill" }, tag)),
        el("span", { class: "faint", title: [one.created, one.nodes.join(", ")].filter(Boolean).join("\n") }, told),
        one.reason ? el("span", { class: "why" }, one.reason) : null),
      action(environment, one, label));
  };

  const note = (words, ...more) => el("div", { class: "envs-inst-note" }, el("span", {}, words), ...more);
  const make = (environment) => {
    const count = el("span", { class: "pill", hidden: true }), body = el("div", { "aria-live": "polite" });
    const again = el("button", { class: "btn s ghost", type: "button", on: { click: () => load() } }, icon("refresh"), "Ask again");
    const node = el("details", { class: "envs-inst" }, el("summary", {}, icon("right"), "Headless instances", count), body);
    let asked = 0;

    const show = (found) => {
      setText(count, ig.fmt.count(found.length));
      count.hidden = false;
      const end = note(`Asked at ${ig.fmt.clock(Date.now())}.`, again);
      if (found.length) body.replaceChildren(el("ul", { "aria-label": "Headless instances of " + environment }, found.map((one) => row(environment, one))), end);
      else body.replaceChildren(note("No gadget runs here by itself. The start form has a switch for it."), end);
    };
    const load = async () => {
      const mine = ++asked, focused = document.activeElement === again;
      again.classList.add("busy");
      if (!body.children.length) body.append(note("Asking its nodes …"));
      try {
        const answer = await ig.api(`/api/environments/${encodeURIComponent(environment)}/instances`);
        if (mine === asked) show(answer.instances);
      } catch (error) {
        if (mine !== asked) return;
        count.hidden = true;
        const problems = Object.values(error.problem.problems || {}).join("; ");
        body.replaceChildren(el("div", { class: "envs-inst-note", role: "alert" }, el("span", { class: "t-err" }, "Could not be asked: " + (problems || error.message)), again));
      } finally {
        if (mine === asked) again.classList.remove("busy");
        if (focused) again.focus();
      }
    };
    node.addEventListener("toggle", () => { if (node.open) load(); });
    return { node, load };
  };

  /** The panel of one environment. */
  ig.environmentInstances = (environment) => {
    if (!panels.has(environment)) panels.set(environment, make(environment));
    return panels.get(environment).node;
  };

  ig.ready(() => ig.onRoute("environments", () => {
    for (const { node, load } of panels.values()) if (node.open && node.isConnected) load();
  }));
})();
