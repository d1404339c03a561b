/* The router: the address names the view, and a view that was mounted once stays mounted. Dash's own
   Pages would take the grid down on every switch and cannot live under a strict CSP. */
(() => {
  "use strict";
  const ig = window.igdash;
  const VIEWS = ["gadgets", "start", "sessions", "session", "environments", "sql", "exports", "missing"];
  const TITLES = { gadgets: "Gadgets", sessions: "Sessions", session: "Session", environments: "Environments", sql: "SQL", exports: "Exports", missing: "Not found" };
  const enter = new Map(), leave = new Map(), every = [];
  let current = null, serial = 0;

  const parse = () => {
    const path = location.pathname.replace(/\/+$/, "") || "/";
    const [, first, id, more] = path.split("/");
    const params = new URLSearchParams(location.search);
    const at = (view, key = null) => ({ view, id: key, params, path });
    if (path === "/") return at("gadgets");
    if (more !== undefined) return at("missing");
    let key = null;
    try { key = id ? decodeURIComponent(id) : null; } catch { return at("missing"); }
    if (first === "environments" && !key) return at("environments");
    if (first === "sql" && !key) return at("sql");
    if (first === "exports" && !key) return at("exports");
    if (first === "gadgets" && !key) return at("gadgets");
    if (first === "start" && key) return at("start", key);
    if (first === "sessions") return key ? at("session", key) : at("sessions");
    return at("missing");
  };

  const call = (fns, argument) => {
    for (const fn of fns || []) {
      try { fn(argument); } catch (error) { console.error(error); }
    }
  };

  const defaultTitle = (route) =>
    route.view === "start" ? "Start " + ig.gadget(route.id).title : TITLES[route.view];

  /** Set the page's title; views with a better name than the default call it when they know it. */
  ig.title = (text) => {
    document.title = text + " · igdash";
    ig.setText(ig.$("topbar-title"), text);
  };

  const show = (route, first) => {
    for (const view of VIEWS) {
      const node = ig.$("view-" + view);
      if (node) node.classList.toggle("on", view === route.view);
    }
    ig.title(defaultTitle(route));
    if (first) return;
    ig.setText(ig.$("announce"), defaultTitle(route));
    const heading = document.querySelector(`#view-${route.view} h1`) || ig.$("view-" + route.view);
    if (heading && !document.querySelector("dialog[open]")) {
      heading.setAttribute("tabindex", "-1");
      heading.focus({ preventScroll: true });
    }
  };

  const go = () => {
    const before = current, mine = ++serial;
    const route = (current = parse());
    const changed = !before || before.view !== route.view;
    if (before && changed) call(leave.get(before.view), before);
    if (changed) show(route, !before);
    call(every, route);
    if (mine === serial) call(enter.get(route.view), route);
  };

  /** The route now: {view, id, params, path}; null before the shell is there. */
  ig.route = () => current;
  /** Call fn(route) on entering a view and whenever its address changes; at once when it is shown. */
  ig.onRoute = (view, fn) => {
    if (!enter.has(view)) enter.set(view, []);
    enter.get(view).push(fn);
    if (current && current.view === view) call([fn], current);
  };
  /** Call fn(route left) when another view is shown. */
  ig.onLeave = (view, fn) => { if (!leave.has(view)) leave.set(view, []); leave.get(view).push(fn); };
  /** Call fn(route) on every change whatever the view (sidebar, picker). */
  ig.onEveryRoute = (fn) => { every.push(fn); if (current) call([fn], current); };

  /** Go to an address of ours. `replace` leaves no entry in the history. */
  ig.nav = (url, { replace = false } = {}) => {
    settle();
    const same = new URL(url, location.href).href === location.href;
    history[replace || same ? "replaceState" : "pushState"](null, "", url);
    go();
  };
  /* Browsers refuse more than some 200 changes of the address in half a minute (a key held down), also
     those of a click. Details take most of these at once; then the newest one comes a moment later. */
  const AT_ONCE = 120, SPAN = 30000, LATER = 1000;
  const written = [];
  let wanted = null, timer = 0;
  const settle = () => { clearTimeout(timer); wanted = null; };
  const write = () => {
    const url = wanted, now = performance.now();
    settle();
    if (!url || url.href === location.href) return;
    while (written.length && now - written[0] > SPAN) written.shift();
    if (written.length >= AT_ONCE) {
      if (now - written[written.length - 1] < LATER) { wanted = url; timer = setTimeout(write, LATER); return; }
      written.shift();
    }
    written.push(now);
    history.replaceState(null, "", url);
  };
  /** Keep a detail in the address (tab, seq, search) without a route event or a history entry. */
  ig.setParam = (name, value) => {
    const url = wanted || new URL(location.href);
    if (value === null || value === undefined || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
    wanted = url;
    write();
    if (current) current.params = url.searchParams;
  };

  const ours = (link) => link.origin === location.origin && !/^\/(api|assets)\/|^\/(healthz|readyz|metrics)$/.test(link.pathname);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest && event.target.closest("a[href]");
    if (!link || link.target || link.hasAttribute("download") || !ours(link)) return;
    if (link.pathname === location.pathname && link.hash) return;
    event.preventDefault();
    ig.nav(link.pathname + link.search + link.hash);
  });
  window.addEventListener("popstate", () => { settle(); go(); });

  ig.ready(() => {
    if (location.pathname === "/") history.replaceState(null, "", "/gadgets" + location.search);
    go();
    const root = document.documentElement;
    root.classList.add("is-ready");
  });
})();
