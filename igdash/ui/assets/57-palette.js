/* Ctrl-K: everything one can go to or do, by a few letters of its name. Views, sessions, gadgets and
   actions offer themselves; whoever has an action registers it with `igdash.action`. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el } = ig;
  const MOST = 60, PER_GROUP = 8, WAIT_MS = 120, MAC = /Mac|iPhone|iPad/.test(navigator.platform || "");
  const actions = [];

  /** Offer an action: fn() when chosen; `when()` says whether it makes sense now; `words` are other
      names people may type; `key` is shown beside it. */
  ig.action = (name, fn, { when = () => true, group = "Actions", icon = "right", words = "", key = "" } = {}) => {
    actions.push({ name, fn, when, group, icon, words, key });
  };

  /* ---------- how well a name fits what was typed ---------- */

  /** Score of `text` for `query` (higher = better, -1 = does not fit) and the places that fit. Every
      word of the query must be found, as a whole or letter by letter. */
  ig.fuzzy = (query, text) => {
    const wanted = query.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const said = text.toLowerCase();
    const at = new Set();
    let score = 0;
    for (const word of wanted) {
      const found = one(word, said);
      if (!found) return { score: -1, at: [] };
      score += found.score;
      for (const place of found.at) at.add(place);
    }
    return { score: score - said.length / 200, at: [...at] };
  };
  const boundary = (text, i) => i === 0 || !/[\p{L}\p{N}]/u.test(text[i - 1]);
  const one = (word, text) => {
    let best = -1;
    for (let i = text.indexOf(word); i >= 0; i = text.indexOf(word, i + 1)) {
      if (best < 0 || boundary(text, i)) best = i;
      if (boundary(text, i)) break;
    }
    if (best >= 0) return { score: (boundary(text, best) ? 40 : 20) + word.length * 2 - best / 20, at: [...word].map((_, k) => best + k) };
    const places = [];
    let score = 0, last = -2;
    for (const letter of word) {
      const next = text.indexOf(letter, places.length ? last + 1 : 0);
      if (next < 0) return null;
      score += next === last + 1 ? 3 : boundary(text, next) ? 4 : 0;
      places.push(next);
      last = next;
    }
    return word.length > 1 && score < word.length ? null : { score, at: places };
  };

  /* ---------- what there is ---------- */

  const go = (url) => () => ig.nav(url);
  /* The sidebar knows the views; a key is `g` and the first letter of its name. */
  const views = () => [...document.querySelectorAll("#sidebar a[id^=nav-]")].map((link) => {
    const name = [...link.childNodes].filter((node) => !(node.classList && (node.classList.contains("n") || node.classList.contains("i")))).map((node) => node.textContent).join("").trim();
    const icon = link.querySelector(".i"), sign = icon && /i-(\S+)/.exec(icon.className), key = ig.keyFor(name);
    return { name, group: "Go to", icon: sign ? sign[1] : "right", key, fn: go(link.getAttribute("href")), words: "view page" };
  });

  const sessionItem = (s, group) => ({
    name: ig.gadget(s.gadget).title + " " + ig.target(s.target) + (s.name ? " · " + s.name : ""), group, badge: ig.gadget(s.gadget),
    words: s.gadget + " " + s.id + " " + (s.environment || ""), id: s.id,
    note: (s.state === "running" ? ig.fmt.short(s.events) + " events" : s.state + " · " + ig.fmt.short(s.events)), fn: go("/sessions/" + encodeURIComponent(s.id)),
  });
  const running = () => ig.running.list().map((s) => sessionItem(s, "Running sessions"));
  const gadgets = () => ig.gadgets().map((gadget) => ({
    name: "Start " + gadget.title, group: "Gadgets", badge: gadget, words: gadget.name + " " + gadget.category, note: gadget.description, fn: go("/start/" + encodeURIComponent(gadget.name)),
  }));
  const doable = () => actions.filter((action) => action.when());

  /* ---------- the box ---------- */

  const box = { node: null, items: [], at: 0, old: [], timer: 0, asked: 0 };

  const marked = (item) => {
    const places = new Set(item.at);
    const out = [];
    for (let i = 0; i < item.name.length; i++) {
      const hit = places.has(i), last = out[out.length - 1];
      if (last && last.hit === hit) last.text += item.name[i];
      else out.push({ hit, text: item.name[i] });
    }
    return out.map((part) => (part.hit ? el("b", {}, part.text) : part.text));
  };
  const face = (item) => (item.badge ? el("span", { class: "ico s", "aria-hidden": "true", style: { "--k": `var(${item.badge.color})` } }, item.badge.letters) : el("span", { class: "ico s" }, ig.icon(item.icon || "right")));

  const rank = (query) => {
    const all = [...doable().filter((a) => a.group === "This session"), ...views(), ...running(), ...box.old, ...doable().filter((a) => a.group !== "This session"), ...gadgets()];
    const fitting = [];
    for (const [order, item] of all.entries()) {
      const name = ig.fuzzy(query, item.name);
      const other = name.score >= 0 || !query.trim() ? name : ig.fuzzy(query, item.name + " " + (item.words || ""));
      if (other.score < 0 && query.trim()) continue;
      fitting.push({ ...item, order, score: name.score >= 0 ? name.score + 5 : other.score, at: name.score >= 0 ? name.at : [] });
    }
    return query.trim() ? fitting.sort((a, b) => b.score - a.score || a.order - b.order) : fitting;
  };
  /* Groups in the order of their best item; without a query only some of each. */
  const grouped = (query) => {
    const groups = new Map();
    for (const item of rank(query)) {
      if (!groups.has(item.group)) groups.set(item.group, []);
      const group = groups.get(item.group);
      if (group.length < (query.trim() ? MOST : PER_GROUP)) group.push(item);
    }
    return [...groups].slice(0, 8);
  };

  const paint = () => {
    const query = box.input.value;
    const groups = grouped(query);
    box.items = groups.flatMap(([, items]) => items).slice(0, MOST);
    box.at = Math.min(box.at, Math.max(0, box.items.length - 1));
    let n = 0;
    const nodes = [];
    for (const [name, items] of groups) {
      const here = items.slice(0, MOST - n);
      if (!here.length) break;
      nodes.push(el("div", { role: "group", "aria-label": name }, el("div", { class: "palette-group", "aria-hidden": "true" }, name), here.map((item) => {
        const i = n++;
        return el("div", { class: "palette-item", role: "option", id: "palette-" + i, "aria-selected": "false", data: { at: String(i) }, on: { click: () => choose(i), pointermove: () => mark(i) } },
          face(item), el("span", { class: "palette-name" }, marked(item)), item.note ? el("small", {}, item.note) : null,
          item.key ? el("kbd", { style: { "margin-left": item.note ? "0" : "auto" } }, item.key) : null);
      })));
    }
    if (!nodes.length) nodes.push(el("div", { class: "palette-none", role: "presentation" }, "Nothing is called like that."));
    box.list.replaceChildren(...nodes);
    mark(box.at);
  };
  const mark = (i) => {
    box.at = i;
    for (const node of box.list.querySelectorAll(".palette-item")) {
      const on = Number(node.dataset.at) === i;
      if ((node.getAttribute("aria-selected") === "true") !== on) node.setAttribute("aria-selected", String(on));
    }
    if (box.items.length) box.input.setAttribute("aria-activedescendant", "palette-" + i);
    else box.input.removeAttribute("aria-activedescendant");
  };
  const step = (by) => {
    if (!box.items.length) return;
    mark((box.at + by + box.items.length) % box.items.length);
    const node = ig.$("palette-" + box.at);
    if (node) node.scrollIntoView({ block: "nearest" });
  };
  const choose = (i) => {
    const item = box.items[i];
    if (!item) return;
    box.node.close();
    item.fn();
  };

  /* Sessions that ended are found by the server, a moment after the last key. */
  const lookUp = () => {
    clearTimeout(box.timer);
    box.timer = setTimeout(async () => {
      const mine = ++box.asked, query = box.input.value.trim();
      try {
        const page = await ig.api("/api/sessions?limit=12&q=" + encodeURIComponent(query.slice(0, 200)));
        if (mine !== box.asked || !box.node) return;
        const known = new Set(ig.running.list().map((s) => s.id));
        box.old = page.sessions.filter((s) => !known.has(s.id)).map((s) => sessionItem(s, "Earlier sessions"));
        paint();
      } catch { /* the rest is there all the same */ }
    }, WAIT_MS);
  };

  const onKey = (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key] || (event.ctrlKey && { n: 1, p: -1 }[event.key]);
    if (by) step(by);
    else if (event.key === "Enter" && !event.isComposing) choose(box.at);
    else return;
    event.preventDefault();
  };

  const open = () => {
    if (box.node) { box.node.close(); return; }
    if (document.querySelector("dialog[open]")) return;
    box.input = el("input", { type: "text", placeholder: "Go to a session, start a gadget, do something …", autocomplete: "off", spellcheck: "false", role: "combobox", "aria-expanded": "true",
      "aria-controls": "palette-list", "aria-autocomplete": "list", "aria-label": "Search everything", on: { input: () => { box.at = 0; paint(); lookUp(); }, keydown: onKey } });
    box.list = el("div", { class: "palette-list", id: "palette-list", role: "listbox", "aria-label": "What fits", tabindex: "-1" });
    const hints = [["↑↓", "choose"], ["Enter", "go"], ["Esc", "close"]].map(([key, what]) => el("span", {}, el("kbd", {}, key), " " + what));
    box.old = [];
    box.at = 0;
    box.node = ig.dialog({ class: "dlg palette", "aria-label": "Palette" }, el("div", { class: "palette-q" }, ig.icon("search"), box.input), box.list, el("div", { class: "palette-foot" }, hints));
    box.node.addEventListener("close", () => { box.node = null; clearTimeout(box.timer); });
    paint();
    box.input.focus();
    lookUp();
  };
  ig.palette = open;

  document.addEventListener("keydown", (event) => {
    const meant = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k";
    if (!meant) return;
    event.preventDefault();
    open();
  });

  const label = MAC ? "⌘ K" : "Ctrl K";
  ig.key("palette", "Everything by name", () => false, { label });

  ig.ready(() => {
    const help = ig.$("help-button");
    if (help) help.before(el("button", { class: "palette-open", type: "button", title: "Everything by name (" + label + ")", on: { click: open } }, el("span", { class: "sr-only" }, "Search everything "), el("kbd", {}, label)));
    ig.action("Keys", () => ig.help(), { icon: "keyboard", words: "help shortcuts", key: "?" });
    ig.action("Theme: system, light, dark", () => ig.$("theme-button").click(), { icon: "sun", words: "dark light colours mode", key: "t" });
  });
})();
