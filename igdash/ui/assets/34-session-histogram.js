/* The session's life as bars: events (those that match, split by a field when wanted), and on top of
   them what was lost. One request of at most 240 buckets, a few SVG paths, redrawn every second or two
   while somebody looks. Bars lie on whole multiples of their width, so a refresh never makes them jump.
   Counting with a filter is done once; after that only what is new is counted and added. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const text = view.text;
  const HEIGHT = 72, MOST = 240, FEWEST = 60, FAST_MS = 1000, SLOW_MS = 2000, REST = 6, LONG_MS = 30000, ROWS_FIRST_MS = 1500;
  const FINE = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
  /* `zoom`: the part of time shown when it is not the whole life. `parts`: what is counted so far. `of`:
     the question of the bars shown. `again`: asked for while loading; `failed`: to be tried again. */
  const state = { buckets: [], from: 0, step: 1, timer: 0, loading: false, at: -1, zoom: null, values: [], scope: null, parts: null, took: 0, serial: 0, waiting: 0, of: '', again: false, failed: false };
  let ui = null, aborter = new AbortController();

  const seconds = (rfc) => Date.parse(rfc) / 1000;
  const rfc = (s) => new Date(Math.round(s * 1000)).toISOString().replace('.000Z', 'Z');

  function build() {
    const root = ig.$('session-histogram');
    const path = (name) => ig.svg('path', { class: name });
    const shapes = { bars: path('s-bars'), split: ig.svg('g', { class: 's-split-bars' }), lost: path('s-lost-bars'), ours: path('s-lost-ours'), gaps: path('s-gaps'), mark: path('s-mark'), outside: path('s-outside'), brush: path('s-brush'), edges: path('s-edge') };
    const here = ig.svg('rect', { class: 's-here', y: 0, width: 0, height: HEIGHT });
    const svg = ig.svg('svg', { viewBox: '0 0 1000 ' + HEIGHT, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      shapes.gaps, here, shapes.bars, shapes.split, shapes.lost, shapes.ours, shapes.outside, shapes.brush, shapes.edges, shapes.mark);
    const tip = ig.el('div', { class: 's-tip', hidden: true });
    const plot = ig.el('div', {
      class: 's-plot', tabindex: '0', role: 'slider', 'aria-label': 'Events over time: arrow keys choose a moment, with Shift a range, Enter shows it in the table',
      'aria-valuemin': '0', 'aria-valuemax': '0', 'aria-valuenow': '0',
    }, svg, tip);
    const axis = ig.el('div', { class: 's-axis faint mono', 'aria-hidden': 'true' });
    const bar = ig.el('div', { class: 's-histbar' });
    root.append(bar, plot, axis);
    /* Asking an element for its width forces a layout, so it tells by itself. */
    new ResizeObserver(([entry]) => { ui.width = entry.contentRect.width; }).observe(plot);
    ui = { width: 0, root: root, plot: plot, here: here, tip: tip, axis: axis, bar: bar, ...shapes };
    view.brush.attach(ui, state);
    view.histbar.attach(ui, state);
  }

  /* ---------------------------------------------------------------- which moments */

  /* The part of time to show. It is the session's life, stretched to events whose own clock differs a
     little. A stray time far outside may not squeeze the rest into one bar: then the server's own range
     is asked for, which counts strays in its first or last bar. */
  function span() {
    const session = core.session;
    const begun = seconds(session.started || session.created);
    const over = core.ended() && session.stopped ? seconds(session.stopped) : Date.now() / 1000;
    if (!session.first_event) return { from: begun, to: over };
    const first = seconds(session.first_event), last = seconds(session.last_event);
    if (last < begun) return { from: first, to: last };
    const slack = Math.max(60, over - begun);
    if (begun - first > slack || last - over > slack) return { from: begun, to: over, strays: true };
    return { from: Math.min(begun, first), to: Math.max(over, last) };
  }

  /* The bars wanted: their beginning, width (s) and number; `strays` as above. */
  function grid() {
    const wanted = state.zoom || span();
    const most = ui.width > 0 && ui.width < 500 ? MOST / 2 : MOST;
    if (wanted.strays) return { strays: true, bars: most };
    const length = wanted.to - wanted.from;
    const step = (state.zoom && FINE.find((one) => length / one <= most)) || text.step(length + (state.zoom ? 0 : 1), most);
    const from = Math.floor(wanted.from / step + 1e-6) * step;
    const fewest = core.ended() || state.zoom ? 1 : FEWEST;
    const bars = state.zoom ? Math.ceil((wanted.to - from) / step - 1e-6) : Math.floor((wanted.to - from) / step) + 1;
    return { from: from, step: step, bars: Math.min(300, Math.max(bars, fewest)) };
  }
  function query(wanted, more) {
    const params = new URLSearchParams({ buckets: wanted.bars, ...more });
    if (!wanted.strays) {
      params.set('from', rfc(wanted.from));
      params.set('to', rfc(wanted.from + wanted.step * wanted.bars));
    }
    for (const name of ['filter', 'split']) if (core.asked[name]) params.set(name, core.asked[name]);
    return '/histogram?' + params;
  }

  /* ---------------------------------------------------------------- counting */

  /* `more` counted on top of `old`: same bars, other events. What was lost is always the newest word. */
  function sum(old, more) {
    more.buckets.forEach((bucket, i) => {
      const before = old.buckets[i];
      if (!before) return;
      bucket.events += before.events;
      for (const [value, n] of Object.entries(before.split || {})) bucket.split[value] = (bucket.split[value] || 0) + n;
    });
    return more;
  }

  /* With a split, an answer names its six most frequent values: adding is right only while none of
     them is missing in the other one. */
  const SPLIT = 6;
  const addable = (old, more) => !core.asked.split || more.values.length < SPLIT || old.values.every((value) => more.values.includes(value));

  /* The values to show of a sum: new ones join while there is room. Null: one of those counted among the
     others has overtaken one that is shown, and how many it had before, nobody knows here. */
  function named(old, buckets) {
    const totals = new Map(old.values.map((value) => [value, 0]));
    for (const bucket of buckets) for (const [value, n] of Object.entries(bucket.split || {})) totals.set(value, (totals.get(value) || 0) + n);
    const most = (a, b) => totals.get(b) - totals.get(a);
    const fresh = [...totals.keys()].filter((value) => !old.values.includes(value)).sort(most);
    if (old.values.length + fresh.length <= SPLIT) return old.values.concat(fresh);
    if (old.values.length < SPLIT) return old.values.concat(fresh).sort(most).slice(0, SPLIT);
    return old.values.some((value) => totals.get(value) < totals.get(fresh[0])) ? null : old.values;
  }

  async function count(wanted) {
    const key = JSON.stringify([core.id, core.asked.filter, core.asked.split, wanted.from, wanted.step, wanted.strays]);
    const old = state.parts && state.parts.key === key && !wanted.strays ? state.parts : null;
    if (old && old.complete) {
      const news = await core.get(query(wanted, { after: old.to }), aborter.signal);
      if (news.scope.complete && addable(old, news)) {
        const all = sum(old, news), values = named(old, all.buckets);
        if (values) {
          state.parts = { key: key, complete: true, to: Math.max(old.to, news.scope.to_seq), buckets: all.buckets, values: values };
          return { buckets: all.buckets, values: values, scope: { complete: true } };
        }
      }
    }
    const answer = await core.get(query(wanted), aborter.signal);
    remember(key, answer);
    return answer;
  }
  function remember(key, answer) {
    state.parts = { key: key, complete: answer.scope.complete, to: answer.scope.to_seq, buckets: answer.buckets, values: answer.values || [] };
  }

  /* The first answer ran out of its time: once more, patiently, while what it has is shown. */
  async function countAll(wanted) {
    const key = state.parts.key;
    const answer = await core.get(query(wanted, { budget_ms: LONG_MS }), aborter.signal);
    remember(key, answer);
    take(answer);
  }

  function take(answer) {
    Object.assign(state, { of: question(), failed: false, buckets: answer.buckets, values: answer.values || [], scope: answer.scope || null, from: seconds(answer.buckets[0].from) });
    state.step = (seconds(answer.buckets[answer.buckets.length - 1].to) - state.from) / answer.buckets.length;
    paint();
  }

  const asking = () => Boolean(core.asked.filter || core.asked.split);
  const question = () => JSON.stringify([core.asked.filter, core.asked.split]);
  async function load() {
    state.again = state.loading;
    if (state.loading || !core.session || core.problem) return;
    state.loading = true;
    const { serial } = state;
    const begun = performance.now();
    try {
      const wanted = grid();
      const answer = await (asking() ? count(wanted) : core.get(query(wanted), aborter.signal));
      if (serial !== state.serial) return;
      take(answer);
      if (asking() && !answer.scope.complete) await countAll(wanted);
    } catch (error) {
      if (!core.isAbort(error) && serial === state.serial) failed(error);
    } finally {
      if (serial === state.serial) {
        state.took = performance.now() - begun;
        state.loading = false;
        if (state.again) core.quiet(load());
        else plan();
      }
    }
  }
  function failed(error) {
    const status = error.problem && error.problem.status;
    state.failed = status !== 400;
    if (status === 503 && state.buckets.length > 0 && state.of === question()) return;
    if (status === 400) {
      state.buckets = state.buckets.map((bucket) => ({ ...bucket, events: 0, split: {} }));
      paint();
    } else {
      if (state.of !== question()) ui.root.classList.add('s-wait');
      ig.setText(ui.axis, 'The histogram cannot be shown: ' + error.message);
    }
  }

  const looked = () => core.shown && core.tab === 'events' && document.visibilityState === 'visible';
  function plan() {
    clearTimeout(state.timer);
    const past = state.zoom && state.zoom.to < Date.now() / 1000;
    if (!core.session || ((core.ended() || past) && !state.failed)) return;
    const wait = Math.max(state.step <= 2 ? FAST_MS : SLOW_MS, state.took * REST);
    state.timer = setTimeout(() => (looked() ? load() : plan()), wait);
  }

  /* ---------------------------------------------------------------- painting */

  /* Bars on top of bars: `heights(i)` answers what to draw in bar i as [path, from the bottom, height]. */
  function paint() {
    const n = state.buckets.length || 1;
    const w = 1000 / n;
    const wide = (w - Math.min(w * 0.3, 1.4)).toFixed(2);
    const most = Math.max(1, ...state.buckets.map((b) => b.events));
    const top = Math.max(1, ...state.buckets.map((b) => b.events + Math.min(b.lost, asking() ? most : b.lost)));
    const high = (n, least) => Math.max(least, (n / top) * (HEIGHT - 2));
    const values = core.asked.split ? state.values : [];
    const parts = values.map(() => ''), ours = writerTimes();
    let bars = '', lost = '', lostOurs = '';
    const box = (x, y, h) => 'M' + x + ' ' + y.toFixed(1) + 'v' + (-h).toFixed(1) + 'h' + wide + 'v' + h.toFixed(1) + 'z';
    state.buckets.forEach((bucket, i) => {
      const x = (i * w).toFixed(2);
      let y = HEIGHT, rest = bucket.events;
      values.forEach((value, k) => {
        const count = (bucket.split && bucket.split[value]) || 0;
        if (!count) return;
        rest -= count;
        const h = high(count, 0.6);
        parts[k] += box(x, y, h);
        y -= h;
      });
      if (rest > 0) {
        const h = high(rest, values.length > 0 ? 0.6 : 2);
        bars += box(x, y, h);
        y -= h;
      }
      if (!bucket.lost) return;
      const more = Math.min(high(bucket.lost, 3), HEIGHT - 2);
      const one = box(x, Math.max(more, y), more);
      if (ours.some(([from, to]) => from < seconds(bucket.to) && to >= seconds(bucket.from))) lostOurs += one;
      else lost += one;
    });
    ui.bars.setAttribute('d', bars);
    ui.bars.style.fill = values.length > 0 ? 'var(--c8)' : '';
    ui.lost.setAttribute('d', lost);
    ui.ours.setAttribute('d', lostOurs);
    ui.split.replaceChildren(...values.map((value, k) => ig.svg('path', { d: parts[k], fill: view.histbar.color(value) })));
    paintGaps();
    paintMark();
    paintAxis(n);
    view.brush.paint();
    view.histbar.paint();
    ui.plot.setAttribute('aria-valuemax', String(n - 1));
    ui.root.classList.remove('s-wait');
    view.brush.again();
  }
  /* What igdash itself lost is red, what was lost before it amber. */
  const writerTimes = () => ((core.losses && core.losses.losses) || []).filter((loss) => loss.cause === 'writer').map((loss) => [seconds(loss.from), seconds(loss.to)]);

  /* Windows in which nobody can say how many were lost. */
  function paintGaps() {
    const span = state.step * (state.buckets.length || 1);
    const place = (s) => Math.min(1000, Math.max(0, ((s - state.from) / span) * 1000));
    const unknown = ((core.losses && core.losses.losses) || []).filter((loss) => loss.exact === false);
    ui.gaps.setAttribute('d', unknown.map((loss) => {
      const a = place(seconds(loss.from)), b = Math.max(place(seconds(loss.to)), a + 2);
      return 'M' + a.toFixed(1) + ' 0H' + b.toFixed(1) + 'V' + HEIGHT + 'H' + a.toFixed(1) + 'z';
    }).join(''));
  }

  /* Where the selected event lies. */
  function paintMark() {
    const row = view.grid && view.grid.selected();
    const span = state.step * state.buckets.length;
    const x = row && span ? ((seconds(row.ts) - state.from) / span) * 1000 : -1;
    ui.mark.setAttribute('d', x >= 0 && x <= 1000 ? 'M' + x.toFixed(1) + ' 0V' + HEIGHT : '');
  }

  const LABELS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
  function paintAxis(n) {
    const span = state.step * n;
    const room = Math.max(3, Math.floor((ui.width || 900) / 130));
    const every = LABELS.find((s) => span / s <= room) || 2592000;
    const offset = new Date(state.from * 1000).getTimezoneOffset() * 60;
    const labels = [];
    for (let s = Math.ceil((state.from - offset) / every) * every + offset; s < state.from + span; s += every) {
      const left = ((s - state.from) / span) * 100;
      if ((left / 100) * (ui.width || 900) > (ui.width || 900) - 48) break; // it would be cut off
      labels.push(ig.el('span', { style: { left: left.toFixed(2) + '%' } }, label(s, every)));
    }
    ui.axis.replaceChildren(...labels);
  }
  function label(s, every) {
    if (every >= 86400) return ig.fmt.datetime(s * 1000).slice(5, 10);
    return every >= 60 ? ig.fmt.clock(s * 1000).slice(0, 5) : ig.fmt.clock(s * 1000);
  }

  /* ---------------------------------------------------------------- nearer and farther */

  function renew() {
    clearTimeout(state.waiting);
    state.waiting = 0;
    aborter.abort();
    aborter = new AbortController();
    clearTimeout(state.timer);
    state.serial += 1;
    state.loading = state.failed = false;
    core.quiet(load());
  }
  /* Show only this part of time (s); null = the whole life. */
  function zoom(part) {
    const life = span();
    const whole = part && !life.strays && part.from <= life.from && part.to >= life.to;
    state.zoom = part && !whole && part.to - part.from >= 0.01 ? part : null;
    renew();
  }
  function zoomOut() {
    if (!state.zoom) return;
    const more = state.zoom.to - state.zoom.from;
    zoom({ from: state.zoom.from - more, to: state.zoom.to + more });
  }

  function onOpen() {
    clearTimeout(state.timer);
    clearTimeout(state.waiting);
    aborter.abort();
    aborter = new AbortController();
    Object.assign(state, { buckets: [], loading: false, at: -1, zoom: null, values: [], scope: null, parts: null, took: 0, serial: state.serial + 1, waiting: 0, of: '', again: false, failed: false });
    ui.root.classList.add('s-wait');
    ui.tip.hidden = true;
    for (const path of [ui.bars, ui.lost, ui.ours, ui.gaps, ui.mark, ui.outside, ui.brush, ui.edges]) path.setAttribute('d', '');
    ui.split.replaceChildren();
    ui.axis.replaceChildren();
    view.brush.reset();
  }

  /* The rows of a new filter come first: both would share the same few processes that answer. */
  function afterRows() {
    clearTimeout(state.timer);
    aborter.abort();
    state.serial += 1;
    state.loading = true;
    state.waiting = setTimeout(renew, view.grid.state.ticks ? 0 : ROWS_FIRST_MS);
  }
  function onAnswered() {
    if (!state.waiting) return;
    clearTimeout(state.waiting);
    state.waiting = 0;
    renew();
  }

  function onAsked(changed) {
    if (changed.includes('split') && !changed.includes('filter')) renew();
    else if (changed.includes('filter')) afterRows();
    else if (changed.includes('from') || changed.includes('to')) {
      view.brush.paint();
      view.histbar.paint();
    }
  }

  view.histogram = { load: load, mark: () => ui && paintMark(), zoom: zoom, zoomOut: zoomOut, rfc: rfc, seconds: seconds, height: HEIGHT };

  ig.ready(() => {
    build();
    core.on('open', onOpen);
    core.on('asked', onAsked);
    core.on('answered', onAnswered);
    core.on('painted', () => core.quiet(load()));
    core.on('losses', () => state.buckets.length > 0 && paintGaps());
    core.on('session', () => { if (core.ended() && state.buckets.length > 0) core.quiet(load()); });
    core.on('tab', (name) => { if (name === 'events' && core.session) core.quiet(load()); });
    core.on('close', () => { clearTimeout(state.timer); aborter.abort(); });
    document.addEventListener('visibilitychange', () => { if (looked()) core.quiet(load()); });
  });
})();
