/* The catalogue: search, category, running counts, what can be started here, and where a card leads. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, setText } = ig;
  let cards = [], input = null, category = "", query = "";

  const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (card) => (!category || card.category === category) && words(query).every((w) => card.text.includes(w));

  const filter = () => {
    let shown = 0;
    for (const card of cards) {
      card.node.hidden = !matches(card);
      shown += card.node.hidden ? 0 : 1;
    }
    for (const chip of ig.$("gadgets-chips").children) chip.setAttribute("aria-pressed", String(chip.dataset.category === category));
    const narrowed = query.trim() || category;
    setText(ig.$("gadgets-shown"), narrowed ? `${shown} of ${cards.length}` : "");
    const rest = document.querySelector(".cards-rest");
    if (rest) rest.hidden = !cards.some((c) => c.off && !c.node.hidden);
    const empty = ig.$("gadgets-empty");
    if (!shown && empty.hidden) {
      empty.replaceChildren(el("h2", {}, "No gadget matches"), el("p", {}, "Search looks at titles, names, descriptions and categories."),
        el("button", { class: "btn", type: "button", on: { click: () => set("", "") } }, "Show all gadgets"));
    }
    empty.hidden = shown > 0;
    ig.$("gadgets-cards").hidden = !shown;
  };

  const set = (nextQuery, nextCategory) => {
    query = nextQuery;
    category = nextCategory;
    if (input.value !== query) input.value = query;
    ig.setParam("q", query.trim() || null);
    ig.setParam("category", category || null);
    filter();
  };

  const counts = () => {
    const by = new Map();
    for (const s of ig.running.list()) by.set(s.gadget, [...(by.get(s.gadget) || []), s.id]);
    for (const card of cards) {
      const ids = by.get(card.name) || [];
      card.running = ids.length;
      const where = ids.length === 0 ? "/start/" + card.name : ids.length === 1 ? "/sessions/" + ids[0] : "/gadgets?pick=" + card.name;
      card.href = where;
      card.node.classList.toggle("on", ids.length > 0);
      const box = card.node.querySelector(".card-count");
      if (box.dataset.n !== String(ids.length)) {
        box.dataset.n = ids.length;
        box.replaceChildren(...(ids.length ? [el("span", { class: "pill" }, el("span", { class: "dot" }), ids.length + " running")] : []));
      }
    }
    available();
    summary();
  };

  const summary = () => {
    const n = ig.running.list().length, pill = ig.$("gadgets-running"), down = ig.running.paused();
    const many = `${ig.fmt.count(n)} session${n === 1 ? "" : "s"}`;
    const text = !n ? "Nothing is collecting" : down ? `${many} wait${n === 1 ? "s" : ""} for the collector` : `${many} collecting in the background`;
    pill.hidden = !ig.running.loaded;
    if (pill.textContent !== text) pill.replaceChildren(el("span", { class: ["dot", (!n || down) && "stop"] }), text);
  };

  /* Cards that lead nowhere stay readable, say why, and come last. */
  const available = () => {
    let moved = false;
    for (const card of cards) {
      const why = card.running ? "" : ig.environments.whyNot(card.name);
      moved = moved || card.why !== why;
      card.why = why;
      card.off = !!why;
      card.node.classList.toggle("off", card.off);
      if (card.off) { card.node.removeAttribute("href"); card.node.setAttribute("aria-disabled", "true"); card.node.setAttribute("role", "link"); }
      else { card.node.setAttribute("href", card.href); card.node.removeAttribute("aria-disabled"); card.node.removeAttribute("role"); }
    }
    if (!moved) return;
    const box = ig.$("gadgets-cards"), old = box.querySelector(".cards-rest");
    if (old) old.remove();
    for (const card of cards.filter((c) => !c.off)) box.append(card.node);
    const off = cards.filter((c) => c.off);
    const reasons = new Set(off.map((c) => c.why));
    for (const card of cards) setText(card.node.querySelector(".card-why"), reasons.size > 1 ? card.why : "");
    if (off.length) {
      const head = reasons.size > 1 ? "Not available here" : [...reasons][0].replace(/\.$/, "");
      box.append(el("h2", { class: "cards-rest" }, head), ...off.map((c) => c.node));
    }
    filter();
  };

  /* Arrow keys go by where cards are on the screen, so they fit any number of columns. */
  const step = (event) => {
    const open = cards.map((c) => c.node).filter((n) => !n.hidden && n.hasAttribute("href"));
    open.sort((a, b) => a.offsetTop - b.offsetTop || a.offsetLeft - b.offsetLeft);
    const at = open.indexOf(document.activeElement);
    if (at < 0) {
      if (event.key !== "ArrowDown" || !open.length) return false;
      open[0].focus();
      return true;
    }
    const here = open[at];
    const side = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    let to = side ? open[at + side] : null;
    if (!side) {
      const down = event.key === "ArrowDown";
      const rows = open.filter((n) => (down ? n.offsetTop > here.offsetTop : n.offsetTop < here.offsetTop));
      const row = rows.length ? (down ? Math.min : Math.max)(...rows.map((n) => n.offsetTop)) : null;
      to = rows.filter((n) => n.offsetTop === row).sort((a, b) => Math.abs(a.offsetLeft - here.offsetLeft) - Math.abs(b.offsetLeft - here.offsetLeft))[0];
      if (!to && !down) to = input;
    }
    if (!to) return true;
    to.focus();
    return true;
  };

  const makeInput = () => {
    const slot = ig.$("gadgets-search");
    input = el("input", { type: "search", id: "gadgets-search-input", placeholder: slot.dataset.placeholder, autocomplete: "off", spellcheck: "false", "aria-label": "Search gadgets" });
    slot.replaceChildren(input);
    input.addEventListener("input", () => set(input.value, category));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { if (input.value) set("", category); else input.blur(); event.preventDefault(); }
      else if (event.key === "ArrowDown" && step(event)) event.preventDefault();
      else if (event.key === "Enter") {
        const first = cards.find((c) => !c.node.hidden && !c.off);
        if (first && query.trim()) ig.nav(first.href);
      }
    });
  };

  ig.ready(() => {
    cards = [...ig.$("gadgets-cards").children].map((node) => {
      const g = ig.gadget(node.dataset.gadget);
      return { node, name: g.name, category: node.dataset.category, href: "/start/" + g.name, running: 0, off: false, why: "",
        text: [g.title, g.name, g.name.replace(/_/g, " "), g.description, g.category].join(" ").toLowerCase() };
    });
    makeInput();
    ig.$("gadgets-chips").addEventListener("click", (event) => {
      const chip = event.target.closest("button");
      if (chip) set(query, chip.dataset.category);
    });
    ig.$("gadgets-running").hidden = true;
    ig.running.onSet(counts);
    ig.running.onTick(summary);
    ig.environments.onChange(available);
    ig.onRoute("gadgets", (route) => {
      query = route.params.get("q") || "";
      category = route.params.get("category") || "";
      input.value = query;
      filter();
    });
    for (const key of ["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"]) {
      ig.key(key, "Move between cards", step, { view: "gadgets", label: key === "ArrowDown" ? "ArrowUp ArrowDown ArrowLeft ArrowRight" : "-" });
    }
    ig.key("/", "Search", () => { input.focus(); input.select(); }, { view: "gadgets" });
  });
})();
