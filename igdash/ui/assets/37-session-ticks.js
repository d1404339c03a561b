/* Gadgets that deliver a table at a time (top_*, snapshot_*): the newest tick as the grid's rows, and
   a slider back through time. Ticks are numbered from 1 without holes, so any of them is one request. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const text = view.text;
  const el = ig.el;
  const POLL_MS = 1000, TOPS = [10, 20, 50, 100];
  /* `top`: show so many rows of a tick, the first in the order of the header; 0 = all. */
  /* `low` to `high`: the ticks of the chosen time; `high` 0 = up to the newest. */
  const t = { low: 1, high: 0, top: 0, total: 0, at: 0, follow: true, tick: null, timer: 0, asked: 0, loading: false, error: null };
  let ui = null;

  function build() {
    const button = (label, icon, fn) => el('button', { class: 'btn s icon', type: 'button', 'aria-label': label, title: label, on: { click: fn } }, ig.icon(icon));
    const slider = el('input', { type: 'range', min: '1', max: '1', value: '1', 'aria-label': 'Tick', on: { input: () => go(Number(slider.value), true) } });
    const older = button('Older tick', 'left', () => go(t.at - 1, true));
    const newer = button('Newer tick', 'right', () => go(t.at + 1, true));
    const where = el('span', { class: 'mono' });
    const when = el('span', { class: 's-tick-time mono' });
    const top = el('select', { class: 'form-select s-top', 'aria-label': 'How many rows', on: { change: () => setTop(Number(top.value)) } },
      el('option', { value: '0' }, 'All rows'), TOPS.map((n) => el('option', { value: String(n) }, 'Top ' + n)));
    ig.$('session-ticks').append(older, slider, newer, when, where, top);
    ui = { top: top, root: ig.$('session-ticks'), slider: slider, older: older, newer: newer, where: where, when: when };
  }

  const newestTick = () => (t.high > 0 ? Math.min(t.high, t.total) : t.total);
  const bound = () => t.high > 0;
  const many = () => t.total > 1 || !core.ended();

  /* ---------------------------------------------------------------- which tick */

  async function newest() {
    const page = text.members(await core.text('/ticks?limit=1'));
    return Number(page.total || 0);
  }

  /* Show tick `wanted`; by hand means: hold it. Only the last wish is carried out. */
  function go(wanted, byHand) {
    const number = Math.min(Math.max(t.low, wanted), Math.max(t.low, newestTick()));
    if (byHand) {
      t.follow = number >= newestTick() && !core.ended();
      ig.setParam('tick', t.follow ? null : number);
      if (view.grid.state.selected !== null) view.grid.select(null);
    }
    t.at = number;
    paint();
    core.quiet(load(number));
  }

  async function load(number) {
    const gen = core.gen;
    const mine = ++t.asked;
    const stale = () => mine !== t.asked || gen !== core.gen;
    if (number < 1 || t.total === 0) return;
    try {
      const filter = core.asked.filter ? '?filter=' + encodeURIComponent(core.asked.filter) : '';
      const parts = text.members(await core.text('/ticks/' + number + filter));
      if (stale()) return;
      t.tick = ig.parseExact(parts.tick);
      t.error = null;
      view.grid.setTick(text.elements(parts.events).map((one) => new text.Row(one)));
    } catch (error) {
      if (stale() || core.isAbort(error)) return;
      t.error = error.message;
      t.tick = null;
      view.grid.setTick([]);
    }
    paint();
  }

  async function poll() {
    const gen = core.gen;
    t.loading = true;
    try {
      const total = await newest();
      const more = total !== t.total;
      t.total = total;
      if (t.follow && more && !bound()) {
        t.at = total;
        await load(total);
      }
      paint();
    } finally {
      if (gen === core.gen) {
        t.loading = false;
        plan();
      }
    }
  }

  function plan() {
    clearTimeout(t.timer);
    if (view.grid.state.ticks === null || core.ended()) return;
    t.timer = setTimeout(() => (view.grid.looked() ? core.quiet(poll()) : plan()), POLL_MS);
  }

  async function start() {
    const gen = core.gen;
    t.total = await newest();
    t.error = null;
    await readRange();
    if (gen !== core.gen) return;
    const wanted = Number(core.route.params.get('tick')) || 0;
    t.follow = !core.ended() && !(wanted >= 1);
    t.at = wanted >= 1 ? Math.min(wanted, t.total) : newestTick();
    paint();
    if (t.total === 0) view.grid.setTick([]);
    else await load(t.at);
    await openRow();
    plan();
  }

  /* Until it is known which ticks there are nothing can be shown: a refusal is said, and not the end. */
  async function begin() {
    try {
      await start();
    } catch (error) {
      if (core.isAbort(error) || view.grid.state.ticks === null) throw error;
      t.error = error.message;
      view.grid.setTick([]);
      t.timer = setTimeout(() => core.quiet(begin()), POLL_MS * 2);
      throw error;
    }
  }

  /* A deep link to a row: the tick that holds it, then the row. */
  async function openRow() {
    const seq = Number(core.route.params.get('seq')) || null;
    if (!seq) return;
    if (view.grid.indexOf(seq) < 0) await seek(seq);
    if (view.grid.indexOf(seq) >= 0) view.grid.select(seq);
    else core.emit('select', seq);
  }

  /* The ticks of the time that is asked for: those with a row in it. */
  async function readRange() {
    const { from, to } = core.asked;
    const place = async (moment) => {
      const { seq } = await core.get('/seq?time=' + encodeURIComponent(moment));
      return seq === null ? t.total + 1 : tickOf(seq);
    };
    const low = from && t.total > 0 ? await place(from) : 1;
    const after = to && t.total > 0 ? await place(to) : 0;
    Object.assign(t, { low: Math.min(low, Math.max(1, t.total)), high: !to || after > t.total && Date.parse(to) > Date.now() ? 0 : Math.max(1, after - 1) });
    if (t.high > 0) t.high = Math.max(t.low, t.high);
  }
  async function onRange() {
    const gen = core.gen;
    await readRange();
    if (gen !== core.gen) return;
    t.follow = !core.ended();
    ig.setParam('tick', null);
    go(newestTick(), false);
  }

  /* The tick of an event, by halving: ticks are in the order of their rows. */
  async function tickOf(seq) {
    const gen = core.gen;
    let low = 1, high = t.total;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const page = await core.get('/ticks?before=' + (middle + 1) + '&limit=1');
      if (gen !== core.gen) throw new DOMException('another session is open', 'AbortError');
      if (page.ticks.length > 0 && page.ticks[0].first_seq > seq) high = middle - 1;
      else low = middle;
    }
    return low;
  }
  async function seek(seq) {
    const low = await tickOf(seq);
    if (view.grid.state.selected !== null) view.grid.select(null);
    t.follow = false;
    t.at = low;
    ig.setParam('tick', low);
    await load(low);
  }

  function setTop(n) {
    t.top = n;
    ig.setParam('top', n || null);
    ui.top.value = String(n);
    if (view.grid.state.ticks !== null) view.grid.setTick(view.grid.state.ticks);
    view.status.paint();
  }
  const readTop = (route) => (TOPS.includes(Number(route.params.get('top'))) ? Number(route.params.get('top')) : 0);

  /* ---------------------------------------------------------------- painting */

  function paint() {
    const on = view.grid.state.ticks !== null && many();
    ui.root.hidden = !on;
    view.status.paint();
    if (!on) return;
    ui.slider.min = String(t.low);
    ui.slider.max = String(Math.max(t.low, newestTick()));
    ui.slider.value = String(t.at);
    ui.slider.disabled = newestTick() - t.low < 1;
    ui.older.disabled = t.at <= t.low;
    ui.newer.disabled = t.at >= newestTick();
    ig.setText(ui.where, ig.fmt.count(t.at) + ' of ' + ig.fmt.count(t.total));
    const known = t.tick && t.tick.tick === t.at;
    ig.setText(ui.when, known ? ig.fmt.time(t.tick.ts) : '');
    ui.when.title = known ? t.tick.ts : '';
    ui.slider.setAttribute('aria-valuetext', 'tick ' + t.at + ' of ' + t.total + (known ? ', ' + ig.fmt.time(t.tick.ts) : ''));
  }

  function words() {
    const n = view.grid.total(), matched = (view.grid.state.ticks || []).length;
    const all = t.tick ? t.tick.events : matched;
    const few = t.top > 0 && n < matched ? 'top ' + ig.fmt.count(n) + ' of ' + ig.fmt.count(matched) : ig.fmt.count(n);
    const rows = few + (matched < all ? ' matching of ' + ig.fmt.count(all) : '') + (all === 1 ? ' row' : ' rows');
    const order = t.top > 0 && core.asked.sort ? ' by ' + view.arrange.sortLabel() : '';
    return t.tick ? rows + order + ' in tick ' + ig.fmt.count(t.tick.tick) + (t.tick.node ? ' from ' + t.tick.node : '') : rows;
  }

  function nothing() {
    const filter = core.asked.filter !== '' && t.tick && t.tick.events > 0;
    if (filter) return ['No row of this tick matches', ig.fmt.count(t.tick.events) + (t.tick.events === 1 ? ' row was' : ' rows were') + ' reported then; none matches the filter.'];
    if (t.error) return ['This tick cannot be shown', t.error];
    if (t.total === 0) return view.status.nothing(core.session);
    return ['Nothing in this tick', 'The gadget reported at ' + (t.tick ? ig.fmt.time(t.tick.ts) : 'this moment') + ' that nothing happened in its interval. That is an answer too: ' + (t.follow ? 'the next one appears by itself.' : 'the slider shows the others.')];
  }

  view.ticks = { following: () => t.follow && !bound() && view.grid.state.selected === null && !core.ended(), many: many, words: words, nothing: nothing, cut: (rows) => (t.top > 0 ? rows.slice(0, t.top) : rows) };

  function onParams(route) {
    if (view.grid.state.ticks === null) return;
    if (readTop(route) !== t.top) setTop(readTop(route));
    const wanted = Number(route.params.get('tick')) || 0;
    if (wanted >= 1 && wanted !== t.at) {
      t.follow = false;
      go(wanted, false);
    } else if (wanted < 1 && !t.follow && !core.ended()) resume();
  }
  function resume() {
    t.follow = true;
    ig.setParam('tick', null);
    t.at = newestTick();
    paint();
    core.quiet(load(t.at));
  }

  ig.ready(() => {
    build();
    core.on('open', () => {
      clearTimeout(t.timer);
      Object.assign(t, { low: 1, high: 0, total: 0, at: 0, follow: true, tick: null, asked: t.asked + 1, loading: false, error: null });
      ui.root.hidden = true;
      t.top = readTop(core.route);
      ui.top.value = String(t.top);
    });
    core.on('asked', (changed) => {
      if (view.grid.state.ticks === null || t.total === 0) return;
      if (changed.includes('from') || changed.includes('to')) core.quiet(onRange());
      else if (changed.includes('filter')) core.quiet(load(t.at));
    });
    core.on('ticks', () => core.quiet(begin()));
    core.on('live', resume);
    core.on('hold', () => { t.follow = false; ig.setParam('tick', t.at || null); paint(); });
    core.on('seek', (moment) => core.quiet(seek(moment.seq)));
    core.on('params', onParams);
    core.on('tab', () => plan());
    core.on('session', () => { if (core.ended() && view.grid.state.ticks !== null && view.grid.state.ready && t.loading === false && Number(core.session.ticks) > t.total) core.quiet(poll()); });
    core.on('close', () => clearTimeout(t.timer));
  });
})();
