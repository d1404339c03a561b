/* The sessions that run now, once for the whole page: what they are comes from REST and only when
   the set changes, how far they are comes from the live socket. Sidebar, catalogue and picker read
   this, so they can never disagree. */
(() => {
  "use strict";
  const ig = window.igdash;
  const SPARK_MS = 15000, SPARKS = 40, RETRY_MS = 3000, PAGE = 200;
  const ENDED = new Set(["stopped", "interrupted", "failed", "deleted"]);
  const byId = new Map(), setListeners = new Set(), tickListeners = new Set();
  const running = (ig.running = { loaded: false, error: null });
  let loading = null, again = false, retry = 0;

  const tell = (set) => {
    for (const fn of [...set]) {
      try { fn(); } catch (error) { console.error(error); }
    }
  };
  const began = (s) => s.started || s.created;

  /** Running sessions, oldest first: an order that never changes under the reader. */
  running.list = () => [...byId.values()].sort((a, b) => (began(a) < began(b) ? -1 : began(a) > began(b) ? 1 : a.id < b.id ? -1 : 1));
  running.of = (gadget) => running.list().filter((s) => s.gadget === gadget);
  running.get = (id) => byId.get(id) || null;
  /** fn() when a session came or went (and when the first answer is there); fn() on new numbers. */
  running.onSet = (fn) => { setListeners.add(fn); if (running.loaded) fn(); return () => setListeners.delete(fn); };
  running.onTick = (fn) => { tickListeners.add(fn); return () => tickListeners.delete(fn); };

  const fetchAll = async () => {
    const found = [];
    let cursor = "";
    do {
      const page = await ig.api(`/api/sessions?state=starting,running,stopping&sort=started&limit=${PAGE}&spark=${SPARKS}` +
        (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""));
      found.push(...page.sessions);
      cursor = page.next;
    } while (cursor);
    return found;
  };

  const replace = (sessions) => {
    const before = [...byId.keys()].join();
    const fresh = new Map(sessions.map((s) => {
      const live = ig.live.sessions.get(s.id);
      /* The same object for the same session, so that whoever holds one sees it grow. An end is news
         whatever the answer says: it may have been under way. */
      const newer = live && (live.last_seq > s.last_seq || ENDED.has(live.state));
      return [s.id, Object.assign(byId.get(s.id) || {}, s, newer ? live : null)];
    }));
    byId.clear();
    for (const [id, s] of fresh) if (!ENDED.has(s.state)) byId.set(id, s);
    const first = !running.loaded;
    running.loaded = true;
    running.error = null;
    if (first || [...byId.keys()].join() !== before) tell(setListeners);
    tell(tickListeners);
  };

  /** Ask again; calls while one is under way are joined into one more. */
  running.refresh = async () => {
    if (loading) { again = true; return loading; }
    loading = fetchAll().then(replace, (error) => {
      running.error = error;
      tell(tickListeners);
      clearTimeout(retry);
      retry = setTimeout(running.refresh, RETRY_MS);
    });
    await loading;
    loading = null;
    if (again) { again = false; return running.refresh(); }
  };

  const onFrame = (frame) => {
    let changed = false, unknown = false;
    for (const [id, live] of Object.entries(frame.sessions || {})) {
      const known = byId.get(id);
      if (!known) unknown = unknown || !ENDED.has(live.state);
      else if (ENDED.has(live.state)) { byId.delete(id); changed = true; }
      else Object.assign(known, live);
    }
    if (frame.full && running.loaded) {
      for (const id of [...byId.keys()]) if (!(id in frame.sessions)) { byId.delete(id); changed = true; }
    }
    if (unknown || !running.loaded) running.refresh();
    if (changed) tell(setListeners);
    tell(tickListeners);
  };

  /** Whether the collector is away, so that nothing flows whatever the state says. */
  running.paused = () => !!ig.live.stats && ig.live.stats.collector === "down";

  const flows = (s) => !running.paused() && (Number(s.rate) > 0 || (s.last_event && Date.now() - Date.parse(s.last_event) < 10000));
  /** Whether events still arrive, so that a stop should ask once. */
  running.flows = flows;

  /** Ask the server to stop a session; says so when that fails. `keep` leaves its headless instance
      running. Answers whether it was accepted. */
  running.stop = async (id, keep = false) => {
    const session = byId.get(id);
    try {
      await ig.api(`/api/sessions/${encodeURIComponent(id)}/stop${keep ? "?keep=true" : ""}`, { method: "POST" });
      if (session) { session.state = "stopping"; tell(tickListeners); }
      return true;
    } catch (error) {
      ig.toast("Could not stop: " + error.message, "err");
      return false;
    }
  };

  /* Asked before the shell is there: the answers arrive while Dash still mounts it. */
  running.refresh();
  ig.live.on(onFrame);
  ig.ready(() => {
    setInterval(() => { if (!document.hidden && byId.size) running.refresh(); }, SPARK_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) running.refresh(); });
  });
})();
