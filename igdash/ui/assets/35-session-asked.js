/* The grid while a question is asked: a filter, a range, an order. Rows come page by page from a frozen
   answer (31-session-found.js); at the top of an answer in order of time new matches come in front.
   An answer that ran out of its time goes on by itself and says how far it has looked. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const { Found, orderOf, PAGE } = view.found;
  const BUSY_TRIES = 4, BUSY_MS = 600, NEWS_MS = 1000, LONG_MS = 110000;
  const ROWS = ['filter', 'from', 'to', 'sort'];
  let aborter = new AbortController(), newsTimer = 0, counting = false, searching = null, stopped = false, turn = 0, begun = Promise.resolve();
  const g = () => view.grid.state;
  const asked = (view.asked = {});

  /* Whether the rows are not simply the whole stream. */
  asked.wanted = () => Boolean(core.asked.filter || core.asked.from || core.asked.to || orderOf(core.asked.sort) !== 'newest');
  /* Whether new events can appear at the top. */
  asked.live = () => Boolean(g().found) && g().found.order === 'newest' && !(core.asked.to && Date.parse(core.asked.to) <= Date.now());

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  function reader() {
    aborter.abort();
    aborter = new AbortController();
    const { signal } = aborter;
    return async function read(query) {
      for (let tries = 1; ; tries += 1) {
        try {
          const page = await view.grid.fetchPage(core.where(query), signal);
          signal.throwIfAborted();
          return page;
        } catch (error) {
          if (!(error.problem && error.problem.status === 503) || tries >= BUSY_TRIES) throw error;
          await pause(BUSY_MS * tries);
          signal.throwIfAborted();
        }
      }
    };
  }

  function make(head) {
    const order = orderOf(core.asked.sort);
    const found = new Found(reader(), core.asked.sort, head || (order === 'newest' ? Infinity : g().latest));
    Object.assign(g(), { found: found, news: null, error: null });
    searching = null;
    stopped = false;
    return found;
  }
  const stale = () => new DOMException('another question is asked', 'AbortError');

  /* ---------------------------------------------------------------- asking */

  /* A session is opened with a question in its address: ask at once where that needs nothing of the
     session. Answers what the first page will be, or null when the whole stream is wanted. */
  asked.open = function () {
    clearTimeout(newsTimer);
    waiting(false);
    g().found = null;
    if (!asked.wanted()) return null;
    if (orderOf(core.asked.sort) !== 'newest') return Promise.resolve({ events: [] });
    const found = make();
    return found.more().then(() => ({ events: found.batches.length > 0 ? found.batches[0].rows : [] }));
  };

  /* The session is known, the columns stand. */
  asked.ready = async function (seq) {
    if (!g().found || orderOf(core.asked.sort) !== 'newest') make();
    await first(g().found);
    if (seq) await openAt(seq);
    else plan();
  };
  async function openAt(seq) {
    const there = await asked.show(seq);
    if (there) view.grid.select(seq);
    else core.emit('select', seq);
    plan();
  }

  /* The rows before look aside until the first page of what was asked last is there, or nothing comes
     of it any more: another jump, another session. Answers the function that says so. */
  function waiting(on) {
    const mine = ++turn, root = ig.$('session-root');
    root.classList.toggle('s-asking', on);
    return () => mine === turn && root.classList.remove('s-asking');
  }
  /* Ask anew, as the address says; the rows before stay until the first page is there. */
  asked.begin = async function (head) {
    const over = waiting(true);
    view.grid.calm();
    try {
      if (!asked.wanted()) {
        const { signal } = (aborter.abort(), (aborter = new AbortController()));
        await stream(signal);
        if (signal.aborted) throw stale();
      } else await first(make(head));
    } catch (error) {
      if (!core.isAbort(error)) view.grid.trouble(error);
      throw error;
    } finally {
      over();
      plan();
    }
  };
  async function stream(signal) {
    const page = await view.grid.fetchPage('before=' + (g().latest + 1) + '&limit=' + PAGE, signal);
    if (signal.aborted) return;
    Object.assign(g(), { found: null, news: null, error: null, atTop: true });
    g().head = page.events.length > 0 ? page.events[page.events.length - 1].seq : 0;
    top();
    core.emit('answered');
    view.grid.advance();
  }
  async function first(found) {
    try {
      await found.need(0, 1);
    } catch (error) {
      if (core.isAbort(error) || found !== g().found) throw stale();
      found.end = true;
      g().error = error;
      core.emit('answered');
      if (!(error.problem && error.problem.status === 400)) view.grid.trouble(error);
    }
    if (found !== g().found) throw stale();
    g().atTop = true;
    top();
    search(found);
  }
  function top() {
    const api = g().api;
    if (api.getDisplayedRowCount() > 0) api.ensureIndexVisible(0, 'top');
    view.grid.restart();
    view.status.paint();
  }

  asked.onAsked = function (changed) {
    if (!g().ready) return;
    if (changed.includes('cols')) view.arrange.follow();
    if (changed.includes('sort')) view.arrange.syncSort();
    if (g().ticks || !changed.some((name) => ROWS.includes(name))) return;
    if (g().selected !== null && !changed.every((name) => name === 'sort')) view.grid.select(null);
    view.picks.clear();
    g().paused = false;
    g().mark = 0;
    begun = asked.begin();
    core.quiet(begun);
  };
  /* Resolves once the rows are those of what was asked last. */
  asked.settled = () => begun;

  /* ---------------------------------------------------------------- answering the grid */

  asked.serve = async function (params) {
    const found = g().found;
    for (let tries = 0; tries < 4; tries += 1) {
      await found.need(params.startRow, found.cut ? Math.min(found.total, params.endRow) : params.endRow);
      if (found !== g().found) throw stale();
      const rows = view.grid.slice(params.startRow, params.endRow);
      if (rows) {
        params.successCallback(rows, found.room);
        done(found);
        return;
      }
    }
    throw new Error('the history changed too quickly');
  };
  function done(found) {
    const root = ig.$('session-root');
    root.dataset.answered = JSON.stringify(ROWS.map((name) => core.asked[name]));
    view.grid.painted();
    view.status.paint();
    core.emit('answered');
    if (found.cut) search(found);
  }

  /* An answer was cut by its time: look on until a page is full, all is searched or somebody says stop. */
  async function search(found) {
    if (searching === found || stopped) return;
    searching = found;
    try {
      while (found === g().found && found.cut && !stopped && view.grid.looked()) {
        const before = found.total;
        view.status.paint();
        await found.more();
        if (found !== g().found) return;
        if (found.total !== before || found.end) renewRows();
      }
    } catch (error) {
      if (!core.isAbort(error) && found === g().found) view.grid.trouble(error);
    } finally {
      if (searching === found) searching = null;
      view.status.paint();
    }
  }
  function renewRows() {
    g().api.setRowCount(g().found.room, true);
    g().api.refreshInfiniteCache();
  }
  asked.stop = function () {
    stopped = true;
    aborter.abort();
    const found = g().found;
    if (found) found.read = reader();
    view.status.paint();
  };
  asked.goOn = function () {
    stopped = false;
    search(g().found);
  };
  /* Order all events, however long it takes. */
  asked.sortAll = async function () {
    const found = make();
    found.budget = LONG_MS;
    const over = waiting(true);
    await first(found).finally(over);
  };

  /* How the answer stands: {kind: 'searching'|'stopped'|'partial'|'', examined, total}. */
  asked.progress = function () {
    const found = g().found;
    if (!found || !found.scope) return { kind: '' };
    const total = Math.max(found.total, (found.head || 0) - g().first + 1);
    if (found.order === 'sorted') return { kind: found.scope.complete ? '' : 'partial', examined: found.scope.examined, total: found.scope.total };
    if (!found.cut) return { kind: '' };
    return { kind: stopped ? 'stopped' : 'searching', examined: found.examined, total: total };
  };

  /* ---------------------------------------------------------------- new matches */

  /* At the top: what is new comes in front. */
  asked.pull = async function () {
    const found = g().found;
    const page = await found.peek();
    if (found !== g().found || !view.grid.following()) return;
    const came = found.take(page);
    if (came === null) await skip(found);
    else if (came > 0) renewRows();
    view.status.paint();
  };
  /* More came than fits in front: the rows begin anew at the newest, in one step. */
  async function skip(old) {
    const found = new Found(old.read, old.sort, Infinity);
    await found.more();
    if (old !== g().found || !view.grid.following() || !Number.isFinite(found.head)) return;
    g().found = found;
    renewRows();
  }

  /* Held still: how many more there are, for the chip. */
  async function countNews() {
    const found = g().found;
    if (!found || counting) return;
    const since = found.head, latest = g().latest;
    if (!core.asked.filter && !core.asked.from && !core.asked.to) {
      g().news = { since: since, upTo: latest, count: Math.max(0, latest - since), exact: true };
      view.status.paint();
      return;
    }
    counting = true;
    try {
      const answer = await core.get('/count?' + core.where({ after: since }), aborter.signal);
      if (found === g().found && found.head === since) {
        g().news = { since: since, upTo: latest, count: answer.count, exact: answer.scope.complete };
        view.status.paint();
      }
    } finally {
      counting = false;
    }
  }
  /* Chip's number and whether it is a lower bound. */
  asked.behind = function () {
    const { found, news } = g();
    if (!found || !news || news.since !== found.head) return { count: 0, exact: true };
    return news;
  };
  function plan() {
    clearTimeout(newsTimer);
    newsTimer = setTimeout(() => {
      const { found, news } = g();
      const unknown = found && g().latest > found.head && !(news && news.since === found.head && news.upTo === g().latest);
      if (unknown && !view.grid.following() && view.grid.looked()) core.quiet(countNews());
      if (core.shown) plan();
    }, NEWS_MS);
  }

  asked.goLive = async function () {
    const mark = g().found.head;
    await asked.begin();
    g().mark = mark;
    view.status.paint();
  };

  /* ---------------------------------------------------------------- moving about */

  /* Bring `seq` into sight. An answer in order of time may begin at it; one in another order has it
     or not. */
  asked.show = async function (seq) {
    let found = g().found;
    if (found.indexOf(seq) < 0 && found.order === 'newest') {
      const above = await found.read({ after: seq - 1, limit: PAGE / 2 });
      if (found !== g().found) return false;
      if (above.events.length === 0 || above.events[0].seq !== seq) return false;
      const latest = found.head;
      found = make(above.events[above.events.length - 1].seq);
      await found.need(0, PAGE);
      if (found !== g().found) return false;
      if (found.head < latest) g().paused = true;
      view.grid.restart();
      await new Promise((next) => requestAnimationFrame(next));
      if (found !== g().found) return false;
      g().api.setRowCount(found.room, true);
    }
    const index = found.indexOf(seq);
    if (index >= 0) view.grid.reveal(index);
    return index >= 0;
  };

  asked.move = async function (step) {
    const found = g().found;
    let next = found.indexOf(g().selected) + step;
    if (next < 0 && found.order === 'newest' && asked.live()) {
      const came = found.take(await found.peek());
      if (found !== g().found || !came) return;
      renewRows();
      next += came;
    }
    if (next >= found.total) await found.need(next, next + 1);
    if (found !== g().found || next < 0 || next >= found.total) return;
    await found.need(next, next + 1);
    const row = found.at(next);
    g().api.ensureIndexVisible(next, null);
    view.grid.select(row.seq);
  };

  /* A search rests while nobody looks. */
  function wake() {
    const { found } = g();
    if (found && found.cut && view.grid.looked()) search(found);
  }

  ig.ready(() => {
    core.on('tab', wake);
    core.on('close', () => { clearTimeout(newsTimer); aborter.abort(); });
    document.addEventListener('visibilitychange', wake);
  });
})();
