/* The page's one socket. It carries counters and health, never rows, at most four frames a second;
   when it cannot be had (a proxy without WebSockets), the same frames are made by polling. */
(() => {
  "use strict";
  const ig = window.igdash;
  const SILENCE_MS = 15000, POLL_MS = 2000, FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 10000, POLL_AFTER = 2;
  const listeners = new Set(), statusListeners = new Set();
  const live = (ig.live = { sessions: new Map(), stats: null, status: "connecting" });
  let socket = null, wait = FIRST_WAIT_MS, failures = 0, watchdog = 0, poller = 0, retry = 0;

  const tell = (set, argument) => {
    for (const fn of [...set]) {
      try { fn(argument); } catch (error) { console.error(error); }
    }
  };
  const setStatus = (status) => {
    if (live.status === status) return;
    live.status = status;
    tell(statusListeners, status);
  };

  const take = (frame) => {
    if (frame.full) live.sessions.clear();
    for (const [id, info] of Object.entries(frame.sessions || {})) {
      live.sessions.set(id, Object.assign({}, live.sessions.get(id), info));
    }
    if (frame.stats) live.stats = frame.stats;
    tell(listeners, frame);
  };

  /** Call fn(frame) for every frame; `frame.full` = it names all running sessions. A late listener
      gets what is known at once. Answers a function that ends it. */
  live.on = (fn) => {
    listeners.add(fn);
    if (live.stats) fn({ type: "live", full: true, sessions: Object.fromEntries(live.sessions), stats: live.stats });
    return () => listeners.delete(fn);
  };
  /** Call fn("open" | "polling" | "connecting" | "lost") when the connection changes, and now. */
  live.onStatus = (fn) => { statusListeners.add(fn); fn(live.status); return () => statusListeners.delete(fn); };

  const poll = async () => {
    try {
      const [page, stats] = await Promise.all([ig.api("/api/sessions?state=starting,running,stopping&limit=500"), ig.api("/api/stats")]);
      if (live.status === "open") return;
      setStatus("polling");
      const sessions = Object.fromEntries(page.sessions.map((s) => [s.id, s]));
      take({ type: "live", full: true, sessions, stats: stats.stats || stats });
    } catch {
      if (live.status !== "open") setStatus("lost");
    }
  };
  const startPolling = () => { if (!poller) { poll(); poller = setInterval(poll, POLL_MS); } };
  const stopPolling = () => { clearInterval(poller); poller = 0; };

  /* Nothing was heard for long. A line that is dead cannot say goodbye, and a browser waits minutes for
     that: what comes next does not wait for it. */
  const rest = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => { const dead = socket; lost(); dead.close(); }, SILENCE_MS);
  };
  const lost = () => {
    socket = null;
    clearTimeout(watchdog);
    failures += 1;
    if (live.status === "open") setStatus("connecting");
    if (failures >= POLL_AFTER) startPolling();
    clearTimeout(retry);
    retry = setTimeout(connect, wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  };

  const connect = () => {
    clearTimeout(retry);
    const mine = (socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/live"));
    let first = true;
    rest();
    mine.onmessage = (message) => {
      if (mine !== socket) return;
      const frame = JSON.parse(message.data);
      rest();
      if (frame.type !== "live") return;
      if (first) { frame.full = true; failures = 0; wait = FIRST_WAIT_MS; stopPolling(); setStatus("open"); }
      first = false;
      take(frame);
    };
    mine.onclose = () => { if (mine === socket) lost(); };
  };

  connect();
  window.addEventListener("online", () => {
    if (live.status === "open") return;
    const old = socket;
    wait = FIRST_WAIT_MS;
    connect();
    if (old) old.close();
  });
})();
