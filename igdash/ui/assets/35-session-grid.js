/* The event grid: one AG Grid for the life of the page, filled by our own datasource. Row i of a
   stream is the event `head - i`: `head` moves with the committed high-water mark while following and
   stands still while somebody reads, so nothing moves under the reader's eyes. Rows are kept by seq;
   a live update fetches only what is new on screen, one request in flight, four a second at most.
   With a filter, a range or an order the rows are those of a question (35-session-asked.js). */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const text = view.text;
  const columns = view.columns;
  const BLOCK = 100, KEEP = 4000, PULL_MS = 250, RETRY_MS = 2000, TOP_PX = 2, NEWEST = 9007199254740991;
  /* `found`: the rows of a question, null = the whole stream. `picked`: seqs chosen together.
     `unread`: where the blocks begin that could not be read. */
  const g = {
    api: null, gen: 0, ready: false, head: 0, first: 1, latest: 0, atTop: true, paused: false, selected: null, mark: 0,
    rows: new Map(), ticks: null, found: null, list: [], chosen: null, pulling: false, timer: 0, pulled: 0, answered: 0,
    picked: new Set(), news: null, error: null, unread: new Set(),
  };
  let api = null;

  /* ---------------------------------------------------------------- rows by seq */

  function keep(rows) {
    for (const row of rows) {
      g.rows.delete(row.seq); // the newest in the map's order are kept longest
      g.rows.set(row.seq, row);
    }
    if (g.rows.size <= KEEP) return;
    let drop = g.rows.size - KEEP;
    for (const seq of g.rows.keys()) {
      if (drop <= 0) break;
      g.rows.delete(seq);
      drop -= 1;
    }
  }

  async function fetchPage(query, signal) {
    const begun = performance.now();
    const page = text.page(await core.text('/events?' + query, signal));
    g.answered = performance.now() - begun;
    g.first = page.first || 1;
    g.latest = Math.max(g.latest, page.last);
    keep(page.events);
    return page;
  }

  function total() {
    if (g.ticks) return g.sorted.length;
    return g.found ? g.found.total : Math.max(0, g.head - g.first + 1);
  }
  function at(index) {
    if (g.ticks) return g.sorted[index];
    return g.found ? g.found.at(index) : g.rows.get(g.head - index);
  }
  /* Where `seq` is; negative = not among the rows (of a question: not among those read so far). */
  function indexOf(seq) {
    if (g.ticks) return g.sorted.findIndex((row) => row.seq === seq);
    return g.found ? g.found.indexOf(seq) : g.head - seq;
  }

  function slice(start, end) {
    const rows = [];
    for (let i = start; i < Math.min(end, total()); i += 1) {
      const row = at(i);
      if (!row) return null;
      rows.push(row);
    }
    return rows;
  }

  /* Answer the grid. `head` may move while a page is on its way: then look again, with the new one. */
  async function serve(params, gen) {
    if (g.found) {
      await view.asked.serve(params);
      return;
    }
    if (g.ticks) g.sorted = view.ticks.cut(columns.sort(g.ticks, g.list, params.sortModel));
    for (let tries = 0; tries < 5; tries += 1) {
      const rows = slice(params.startRow, params.endRow);
      if (rows) {
        params.successCallback(rows, total());
        painted();
        return;
      }
      const high = g.head - params.startRow, low = Math.max(g.first, g.head - params.endRow + 1);
      await fetchPage('before=' + (high + 1) + '&limit=' + (high - low + 1));
      if (gen !== g.gen) throw new DOMException('another session is open', 'AbortError');
    }
    throw new Error('the history changed too quickly');
  }

  /* Every request is answered, also those nobody waits for any more: the grid counts them, and two
     that never end would block all later ones. */
  function getRows(params) {
    const gen = g.gen;
    if (!g.ready) {
      params.failCallback();
      return;
    }
    serve(params, gen).then(() => {
      if (gen === g.gen && g.unread.delete(params.startRow) && g.unread.size === 0) calm();
    }, (error) => {
      params.failCallback();
      if (gen === g.gen && !core.isAbort(error)) trouble(error, params.startRow);
    });
  }

  /* Show another session's rows. While the grid holds its first block only, its rows are kept and get
     other texts, which costs half of making new ones; else it begins anew. */
  function restart() {
    const blocks = Object.keys(api.getCacheBlockState() || {});
    const ours = api.getGridOption('datasource').getRows === getRows;
    if (ours && blocks.length === 1 && blocks[0] === '0') api.refreshInfiniteCache();
    else api.setGridOption('datasource', { getRows: getRows });
  }

  /* What could not be read: a block of the grid, of which a later try may tell that it was, or more. */
  function trouble(error, block) {
    if (block === undefined) g.unread.clear();
    else g.unread.add(block);
    const box = ig.$('session-trouble');
    box.replaceChildren(ig.icon('warn'), ig.el('span', {}, 'Events could not be read: ' + error.message),
      ig.el('button', { class: 'btn s', type: 'button', on: { click: () => { calm(); if (g.found) view.asked.begin(); else renew(); } } }, 'Try again'));
    box.hidden = false;
  }
  function calm() {
    g.unread.clear();
    ig.$('session-trouble').hidden = true;
  }

  /* Throw away what the grid holds and read what is visible again. */
  function renew() {
    if (api) api.purgeInfiniteCache();
  }

  /* ---------------------------------------------------------------- following and holding still */

  const following = () => g.atTop && !g.paused && g.selected === null && g.picked.size === 0 && (!g.found || view.asked.live());
  /* The newest event that the rows are about. */
  const head = () => (g.found ? g.found.head : g.head);
  const looked = () => core.shown && core.tab === 'events' && document.visibilityState === 'visible';

  function advance() {
    view.status.paint();
    if (g.ticks || !g.ready || !following() || !looked() || g.latest <= head() || g.pulling || g.timer) return;
    const wait = g.pulled + PULL_MS - performance.now();
    if (wait > 0) {
      g.timer = setTimeout(() => { g.timer = 0; advance(); }, wait);
      return;
    }
    core.quiet(pull(g.found ? view.asked.pull : pullStream));
  }

  /* Bring the newest rows in. Those that are not new are still here, by seq. */
  async function pullStream() {
    const gen = g.gen;
    const want = Math.min(BLOCK, g.latest - g.head);
    const page = await fetchPage('before=' + (g.latest + 1) + '&limit=' + want);
    if (gen !== g.gen || g.found || !following() || page.events.length === 0) return;
    g.head = page.events[page.events.length - 1].seq;
    api.refreshInfiniteCache();
  }
  async function pull(how) {
    const gen = g.gen;
    g.pulling = true;
    g.pulled = performance.now();
    try {
      await how();
    } catch (error) {
      g.pulled += RETRY_MS;
      throw error;
    } finally {
      if (gen === g.gen) {
        g.pulling = false;
        advance();
      }
    }
  }

  /* Go on following, from the newest event. What came meanwhile is above the line `mark`. */
  async function goLive() {
    const gen = g.gen;
    g.paused = false;
    if (g.selected !== null) select(null);
    view.picks.clear();
    if (g.ticks) {
      core.emit('live');
      return;
    }
    if (g.found) {
      await view.asked.goLive();
      return;
    }
    if (g.latest > g.head) {
      g.mark = g.head;
      const page = await fetchPage('before=' + (g.latest + 1) + '&limit=' + BLOCK);
      if (gen !== g.gen) return;
      g.head = page.events.length > 0 ? page.events[page.events.length - 1].seq : g.head;
    }
    g.atTop = true;
    api.ensureIndexVisible(0, 'top');
    renew();
    advance();
  }

  function toggle() {
    if ((g.ticks ? view.ticks.following() : following()) && !core.ended()) {
      g.paused = true;
      g.mark = head();
      if (g.ticks) core.emit('hold');
      view.status.paint();
    } else if (g.found && !view.asked.live()) core.ask({ sort: null, to: null });
    else core.quiet(goLive());
  }

  function onScroll(event) {
    if (event.direction !== 'vertical' || !g.ready) return;
    const top = event.top <= TOP_PX;
    if (top !== g.atTop) {
      g.atTop = top;
      if (!top) g.mark = head();
      else if (following() && g.latest > head()) core.quiet(goLive());
    }
    view.status.paint();
  }

  /* Hold still with `seq` in sight. Moves `head` only when the event lies beyond it. */
  async function show(seq) {
    if (g.found) return view.asked.show(seq);
    const gen = g.gen;
    if (seq > g.head) {
      if (seq > g.latest) return false;
      await fetchPage('before=' + (seq + 1) + '&limit=' + BLOCK);
      if (gen !== g.gen) return false;
      g.head = Math.max(g.latest, seq);
      api.setRowCount(total(), true);
      renew();
    }
    reveal(indexOf(seq));
    return true;
  }
  function reveal(index) {
    api.ensureIndexVisible(index, 'middle');
    g.atTop = api.getVerticalPixelRange().top <= TOP_PX;
    view.status.paint();
  }

  /* ---------------------------------------------------------------- selecting */

  function select(seq) {
    const before = g.selected;
    if (before === seq) return;
    if (following()) g.mark = head();
    g.selected = seq;
    ig.setParam('seq', seq);
    redraw([before, seq]);
    core.emit('select', seq);
    if (seq === null) {
      if (!g.ticks && following() && g.latest > head()) core.quiet(goLive());
    } else if (g.ticks) core.emit('hold');
    view.histogram.mark();
    view.status.paint();
  }

  function redraw(seqs) {
    const nodes = seqs.filter((one) => one !== null).map(indexOf).filter((index) => index >= 0).map((index) => api.getDisplayedRowAtIndex(index)).filter(Boolean);
    if (nodes.length > 0) api.redrawRows({ rowNodes: nodes });
  }

  /* One row down (+1, older) or up (-1, newer). */
  async function move(step) {
    if (!g.ready || total() === 0) return;
    if (g.selected === null) {
      select(at(Math.max(0, api.getFirstDisplayedRowIndex())).seq);
      return;
    }
    if (g.found) {
      await view.asked.move(step);
      return;
    }
    const index = indexOf(g.selected) + step;
    if (!g.ticks && index < 0 && g.latest > g.head) await show(g.head + 1);
    const next = g.ticks || index >= 0 ? index : indexOf(g.selected) - 1;
    if (next < 0 || next >= total()) return;
    const row = at(next);
    api.ensureIndexVisible(next, null);
    select(row ? row.seq : g.head - next);
  }

  /* ---------------------------------------------------------------- opening a session */

  const root = () => ig.$('session-root');
  let firstPage = null;

  function onOpen() {
    clearTimeout(g.timer);
    Object.assign(g, {
      gen: core.gen, ready: false, head: 0, first: 1, latest: 0, atTop: true, paused: false, selected: null, mark: 0, rows: new Map(),
      ticks: null, sorted: [], pulling: false, timer: 0, pulled: 0, painted: false, picked: new Set(), news: null, error: null, list: [],
    });
    root().classList.add('s-loading');
    delete root().dataset.painted;
    calm();
    firstPage = view.asked.open() || fetchPage('before=' + NEWEST + '&limit=' + BLOCK);
    firstPage.catch(() => {});
    view.status.paint();
  }

  async function onReady() {
    const gen = g.gen;
    await attached;
    if (gen !== g.gen) return;
    if (core.isArray()) {
      g.ticks = [];
      g.found = null;
    }
    let page = { events: [] };
    try {
      page = await firstPage;
    } catch (error) {
      if (gen !== g.gen || core.isAbort(error)) return;
      if (!g.found) trouble(error);
    }
    if (gen !== g.gen) return;
    g.head = page.events.length > 0 ? page.events[page.events.length - 1].seq : 0;
    g.latest = Math.max(g.latest, g.head, Number(core.session.last_seq || 0));
    g.ready = true;
    view.arrange.set(page.events);
    const seq = Number(core.route.params.get('seq')) || null;
    if (g.ticks) {
      core.emit('ticks');
      return;
    }
    if (view.asked.wanted()) {
      await view.asked.ready(seq);
      return;
    }
    restart();
    if (seq) await openAt(seq);
    advance();
  }

  /* A deep link: position there even when the row is far away. */
  async function openAt(seq) {
    api.setRowCount(total(), true);
    const there = seq >= g.first && (await show(seq));
    if (there) select(seq);
    else core.emit('select', seq);
  }

  /* Rows are on screen (or it is known that there are none). */
  function painted() {
    if (g.painted) return;
    g.painted = true;
    const gen = g.gen;
    requestAnimationFrame(() => {
      if (gen !== g.gen) return;
      root().classList.remove('s-loading');
      root().dataset.painted = core.id;
      core.emit('painted');
      view.status.paint();
    });
  }

  function onFrame(live) {
    if (live.last_seq !== undefined) g.latest = Math.max(g.latest, Number(live.last_seq));
    advance();
  }

  function onParams(route) {
    const seq = Number(route.params.get('seq')) || null;
    if (!g.ready || seq === g.selected) return;
    if (seq === null) select(null);
    else core.quiet(Promise.resolve(g.ticks ? true : show(seq)).then((there) => there && select(seq)));
  }

  /* The line between what was there when the reader stopped following and what came since. */
  function isMark(seq, index) {
    if (g.ticks || !(g.mark > 0) || g.mark >= head() || index === 0 || seq <= g.mark) return false;
    if (!g.found) return seq === g.mark + 1;
    const next = g.found.order === 'newest' && g.found.at(index + 1);
    return Boolean(next) && next.seq <= g.mark;
  }

  /* The wrapper installs a datasource of its own after its API can be had: ours must come later. */
  const attached = new Promise((resolve) => {
    ig.ready(async () => {
      api = g.api = await window.dash_ag_grid.getApiAsync('session-grid');
      while (!api.getGridOption('datasource')) await new Promise((next) => setTimeout(next, 10));
      /* At once: theirs does not answer, and a second question to it would be the last one. */
      api.setGridOption('datasource', { getRows: getRows });
      api.setGridOption('rowClassRules', {
        's-selected': (p) => Boolean(p.data) && p.data.seq === g.selected,
        's-mark': (p) => Boolean(p.data) && isMark(p.data.seq, p.rowIndex),
        's-picked': (p) => Boolean(p.data) && g.picked.has(p.data.seq),
        's-pending': (p) => !p.data,
      });
      api.addEventListener('bodyScroll', onScroll);
      api.addEventListener('rowClicked', (e) => { if (e.data && !view.picks.click(e)) select(e.data.seq === g.selected ? null : e.data.seq); });
      view.arrange.attach(api);
      api.addEventListener('viewportChanged', () => view.status.paint());
      resolve(api);
    });
  });

  view.grid = {
    state: g, select: select, move: move, show: show, goLive: goLive, toggle: toggle, choose: (shown) => view.arrange.choose(shown), following: following,
    looked: looked, total: total, at: at, indexOf: indexOf, fetchPage: fetchPage, renew: renew, restart: restart, advance: advance, reveal: reveal,
    redraw: redraw, slice: slice, painted: painted, trouble: trouble, calm: calm, head: head, keep: keep,
    colsParam: () => columns.toParam(g.chosen),
    selected: () => (g.selected === null ? null : g.rows.get(g.selected) || (g.ticks || []).find((row) => row.seq === g.selected) || null),
    range: () => (api ? [api.getFirstDisplayedRowIndex(), api.getLastDisplayedRowIndex()] : [0, -1]),
    /* The rows of a tick; the grid sorts them as its header says. */
    setTick(rows) {
      g.ticks = rows;
      g.sorted = view.ticks.cut(rows);
      keep(rows);
      if (g.painted) api.refreshInfiniteCache();
      else restart();
    },
  };

  /* First event at or after a moment; in a tick gadget the tick that holds it. */
  view.showTime = async function (moment) {
    if (g.found && g.found.order === 'sorted') {
      core.ask({ sort: null });
      ig.toast('Shown in order of time again.', 'info');
      await view.asked.settled();
      api.setRowCount(g.found ? g.found.room : total(), true);
    }
    const from = core.asked.from && Date.parse(core.asked.from) > Date.parse(moment) ? core.asked.from : moment;
    const page = await fetchPage(g.ticks ? 'from=' + encodeURIComponent(moment) + '&limit=1' : core.where({ from: from, limit: 1 }));
    if (page.events.length === 0) {
      ig.toast('No event ' + (core.asked.filter ? 'that matches ' : '') + 'at or after ' + ig.fmt.clock(moment) + '.', 'info');
      return;
    }
    const seq = page.events[0].seq;
    if (g.ticks) core.emit('seek', { seq: seq, moment: moment });
    else if (await show(seq)) select(seq);
  };

  ig.ready(() => {
    core.on('open', onOpen);
    core.on('ready', () => core.quiet(onReady()));
    core.on('frame', onFrame);
    core.on('session', (session) => { onFrame({ last_seq: session.last_seq }); });
    core.on('tab', () => advance());
    core.on('params', onParams);
    core.on('asked', (changed) => view.asked.onAsked(changed));
    core.on('close', () => { g.gen = -1; g.ready = false; g.found = null; clearTimeout(g.timer); g.timer = 0; });
    document.addEventListener('visibilitychange', advance);
  });
})();
