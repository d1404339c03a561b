/* The open session: who it is, what is known of it, and the one generation that everything on
   screen belongs to. Opening another session (or leaving) aborts every request of the old one, and
   an answer that still comes is dropped: nothing stale is ever painted. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const TABS = ['events', 'losses', 'log', 'info'];
  const ENDED = ['stopped', 'interrupted', 'failed'];
  const REFRESH_MS = 2000, LOSSES_MS = 10000, FIELDS_KEPT = 30;

  const core = (view.core = {
    id: null, gen: 0, session: null, fields: null, sources: [], tab: 'events', live: null, losses: null, lossesProblem: null, problem: null,
    shown: false, route: null, asked: {},
  });
  let aborter = new AbortController();
  let refreshing = false, wanted = false, again = 0, losing = 0, asking = 0, answered = 0;

  /* ---------------------------------------------------------------- saying what happened */

  const listeners = new Map();
  /* Events: open(route), session(session), frame(live), tab(name), losses(list), params(route),
     asked(names of what changed), close(). */
  core.on = function (name, fn) {
    if (!listeners.has(name)) listeners.set(name, []);
    listeners.get(name).push(fn);
  };
  function emit(name, argument) {
    for (const fn of listeners.get(name) || []) {
      try { fn(argument); } catch (error) { console.error(error); }
    }
  }
  core.emit = emit;

  /* ---------------------------------------------------------------- asking */

  core.url = (rest) => '/api/sessions/' + encodeURIComponent(core.id) + (rest || '');

  /* Raise what a late answer must not do: `guard(gen)` throws an AbortError when it is stale. */
  function guard(gen) {
    if (gen !== core.gen) throw new DOMException('another session is open', 'AbortError');
  }

  /* A question may also be called off by a `signal` of its own. */
  const either = (signal) => (signal ? AbortSignal.any([aborter.signal, signal]) : aborter.signal);

  core.get = async function (rest, signal) {
    const gen = core.gen;
    const answer = await ig.api(core.url(rest), { signal: either(signal) });
    guard(gen);
    return answer;
  };

  /* The answer as text, for those who look at parts of it only. */
  core.text = async function (rest, signal) {
    const gen = core.gen;
    let response;
    try {
      response = await fetch(core.url(rest), { signal: either(signal), headers: { Accept: 'application/json' } });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw Object.assign(new Error('igdash does not answer. Is it still running?'), { problem: { status: 0 } });
    }
    const body = await response.text();
    guard(gen);
    if (response.ok) return body;
    let problem = {};
    try { problem = JSON.parse(body); } catch { /* not ours */ }
    throw Object.assign(new Error(problem.detail || problem.title || 'Error ' + response.status), { problem: { status: response.status, ...problem } });
  };

  core.isAbort = (error) => error && error.name === 'AbortError';
  /* For promises whose failure is shown elsewhere or does not matter any more: refusals and a server
     that is away. What is left is a mistake of ours and belongs on the console. */
  core.quiet = function (promise) {
    promise.catch((error) => { if (!core.isAbort(error) && !error.problem) console.error(error); });
  };

  /* ---------------------------------------------------------------- the session's life */

  core.ended = () => core.session !== null && ENDED.includes(core.session.state);
  core.isArray = () => core.sources.some((source) => source.array);

  function open(route) {
    aborter.abort();
    aborter = new AbortController();
    clearTimeout(again);
    clearTimeout(losing);
    refreshing = wanted = false;
    Object.assign(core, {
      id: route.id, gen: core.gen + 1, session: null, fields: null, sources: [], losses: null, lossesProblem: null, problem: null, route: route,
      live: ig.live.sessions.get(route.id) || null, shown: true, tab: tabOf(route), asked: askedOf(route),
    });
    emit('open', route);
    core.quiet(load());
  }

  /* A session's fields never change: those opened last are not asked for again. */
  const known = new Map();
  function remember(id, fields) {
    known.delete(id);
    known.set(id, fields);
    if (known.size > FIELDS_KEPT) known.delete(known.keys().next().value);
  }

  async function load() {
    const gen = core.gen;
    try {
      const [session, fields] = await Promise.all([core.get(), known.get(core.id) || core.get('/fields')]);
      remember(session.id, fields);
      core.sources = fields.sources || [];
      core.fields = core.sources.length > 0 ? core.sources[0].fields : [];
      take(session);
      guard(gen);
      emit('ready', session);
    } catch (error) {
      if (gen !== core.gen || core.isAbort(error)) return;
      core.problem = error;
      emit('problem', error);
    }
  }

  function take(session) {
    if (session.id !== core.id) {
      ig.nav('/sessions/' + encodeURIComponent(session.id) + window.location.search, { replace: true });
      return;
    }
    const lost = core.session ? core.session.lost : session.lost;
    core.session = session;
    const target = ig.target(session.target);
    ig.title((session.name || session.title || ig.gadget(session.gadget).title) + ' ' + target);
    emit('session', session);
    if (session.lost !== lost) core.loadLosses();
    if (core.ended() && core.live) {
      core.live = null;
      core.loadLosses();
    }
  }

  /* Ask for the session again, at most once per REFRESH_MS; counters in between come by frames. Who
     asks sooner is not forgotten: news of an end come only once. */
  core.refresh = function () {
    if (!core.shown || core.id === null) return;
    wanted = refreshing;
    if (refreshing) return;
    refreshing = true;
    const gen = core.gen;
    core.get().then(take).catch((error) => {
      if (gen !== core.gen || core.isAbort(error)) return;
      if (error.problem && error.problem.status === 404) {
        core.problem = error;
        emit('problem', error);
      } else wanted = true;
    }).finally(() => {
      if (gen !== core.gen) return;
      again = setTimeout(() => {
        refreshing = false;
        if (wanted) core.refresh();
      }, REFRESH_MS);
    });
  };

  /* Losses of unknown number change no counter, so they are also asked for now and then. */
  core.loadLosses = function () {
    const later = () => {
      clearTimeout(losing);
      losing = setTimeout(() => { if (core.shown && core.session) core.loadLosses(); }, LOSSES_MS);
    };
    if (core.ended()) clearTimeout(losing);
    else later();
    const mine = ++asking;
    const newest = () => mine > answered && (answered = mine); // an answer may overtake one that was asked for before it
    core.quiet(core.get('/losses').then((answer) => {
      if (!newest()) return;
      Object.assign(core, { losses: answer, lossesProblem: null });
      emit('losses', answer);
    }).catch((error) => {
      if (!core.isAbort(error) && newest()) {
        core.lossesProblem = error;
        later();
        emit('losses', core.losses);
      }
      throw error;
    }));
  };

  /* ---------------------------------------------------------------- live counters */

  function onFrame(frame) {
    if (!core.shown || core.id === null) return;
    emit('health', frame.stats || ig.live.stats);
    const news = frame.sessions && frame.sessions[core.id];
    if (!news) {
      if (core.session && !core.ended() && (frame.full || core.session.state !== 'running')) core.refresh();
      return;
    }
    const before = core.live;
    core.live = Object.assign({}, before, news);
    if (core.session) {
      const moved = news.state !== undefined && news.state !== core.session.state;
      Object.assign(core.session, pick(core.live));
      emit('frame', core.live);
      if (moved || ENDED.includes(core.session.state)) core.refresh();
      if (before && before.lost !== core.live.lost) core.loadLosses();
    }
  }
  function pick(live) {
    const out = {};
    for (const key of ['state', 'events', 'lost', 'rate', 'last_seq', 'logs', 'malformed', 'ticks']) {
      if (live[key] !== undefined) out[key] = live[key];
    }
    return out;
  }

  /* ---------------------------------------------------------------- what is asked of the history */

  /* The address holds it, so a link shows the same; `''` = not asked for. */
  const ASKED = ['filter', 'from', 'to', 'sort', 'cols', 'split'];
  const askedOf = (route) => Object.fromEntries(ASKED.map((name) => [name, route.params.get(name) || '']));
  core.asked = askedOf({ params: new URLSearchParams() });

  /* The part of a call that says which events: `filter=…&from=…&to=…`, what is not asked for left out. */
  core.where = function (more) {
    const query = new URLSearchParams();
    for (const name of ['filter', 'from', 'to']) if (core.asked[name]) query.set(name, core.asked[name]);
    for (const [name, value] of Object.entries(more || {})) if (value !== null && value !== undefined && value !== '') query.set(name, String(value));
    return query.toString();
  };

  /* Ask differently: `core.ask({filter: 'pod = web-1'})`. A filter or a range is a step that Back takes
     back; columns and the like are not. The event that was open may not match any more. */
  core.ask = function (changes, { replace = !('filter' in changes || 'from' in changes || 'to' in changes) } = {}) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === '') url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    if (!replace) url.searchParams.delete('seq');
    if (url.href !== location.href) ig.nav(url.pathname + url.search, { replace: replace });
  };

  function readAsked(route) {
    const now = askedOf(route);
    const changed = ASKED.filter((name) => now[name] !== core.asked[name]);
    core.asked = now;
    if (changed.length > 0) emit('asked', changed);
  }

  /* ---------------------------------------------------------------- tabs and address */

  const tabOf = (route) => (TABS.includes(route.params.get('tab')) ? route.params.get('tab') : 'events');
  core.showTab = function (name) {
    core.tab = name;
    ig.setParam('tab', name === 'events' ? null : name);
    emit('tab', name);
  };

  function onRoute(route) {
    if (!core.shown || route.id !== core.id) {
      open(route);
      return;
    }
    core.route = route;
    if (tabOf(route) !== core.tab) {
      core.tab = tabOf(route);
      emit('tab', core.tab);
    }
    readAsked(route);
    emit('params', route);
  }

  function onLeave() {
    aborter.abort();
    clearTimeout(again);
    clearTimeout(losing);
    core.gen += 1;
    core.shown = false;
    core.id = null;
    emit('close');
  }

  /* Open the same session once more, after an error. */
  core.retry = () => open(ig.route());

  ig.ready(() => {
    ig.onLeave('session', onLeave);
    ig.live.on(onFrame);
    core.on('painted', core.loadLosses);
    core.on('tab', (name) => { if (core.session && name !== 'info') core.loadLosses(); });
    /* Last, so that every region has its listeners before the first session opens. */
    setTimeout(() => ig.onRoute('session', onRoute), 0);
  });
})();
