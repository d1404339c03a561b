/* The session's life as bars: events, and on top of them what was lost. One request of at most 240
   buckets, two SVG paths, redrawn every second or two while somebody looks. Bars lie on whole
   multiples of their width, so a refresh never makes them jump. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const text = view.text;
  const HEIGHT = 72, MOST = 240, FEWEST = 60, FAST_MS = 1000, SLOW_MS = 2000;
  const state = { buckets: [], from: 0, step: 1, timer: 0, loading: false, at: -1, painted: false };
  let ui = null;

  const seconds = (rfc) => Date.parse(rfc) / 1000;
  const rfc = (s) => new Date(s * 1000).toISOString().replace('.000Z', 'Z');

  function build() {
    const root = ig.$('session-histogram');
    const bars = ig.svg('path', { class: 's-bars' });
    const lost = ig.svg('path', { class: 's-lost-bars' });
    const gaps = ig.svg('path', { class: 's-gaps' });
    const here = ig.svg('rect', { class: 's-here', y: 0, width: 0, height: HEIGHT });
    const mark = ig.svg('path', { class: 's-mark' });
    const svg = ig.svg('svg', { viewBox: '0 0 1000 ' + HEIGHT, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, gaps, here, bars, lost, mark);
    const tip = ig.el('div', { class: 's-tip', hidden: true });
    const plot = ig.el('div', {
      class: 's-plot', tabindex: '0', role: 'slider', 'aria-label': 'Events over time: choose a moment, Enter shows it in the table',
      'aria-valuemin': '0', 'aria-valuemax': '0', 'aria-valuenow': '0',
      on: {
        pointermove: (e) => point(indexAt(e)), pointerleave: () => point(-1), blur: () => point(-1),
        click: (e) => jump(indexAt(e)), keydown: onKey,
      },
    }, svg, tip);
    const axis = ig.el('div', { class: 's-axis faint mono', 'aria-hidden': 'true' });
    root.append(plot, axis);
    /* Asking an element for its width forces a layout, so it tells by itself. */
    new ResizeObserver(([entry]) => { ui.width = entry.contentRect.width; }).observe(plot);
    ui = { width: 0, root: root, plot: plot, bars: bars, lost: lost, gaps: gaps, here: here, tip: tip, axis: axis, mark: mark };
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

  function query() {
    const wanted = span();
    const most = ui.width > 0 && ui.width < 500 ? MOST / 2 : MOST;
    if (wanted.strays) return '/histogram?buckets=' + most;
    const step = text.step(wanted.to - wanted.from + 1, most);
    const from = Math.floor(wanted.from / step) * step;
    const bars = Math.min(300, Math.max(Math.floor((wanted.to - from) / step) + 1, core.ended() ? 1 : FEWEST));
    return '/histogram?from=' + rfc(from) + '&to=' + rfc(from + step * bars) + '&buckets=' + bars;
  }

  async function load() {
    if (state.loading || !core.session || core.problem) return;
    state.loading = true;
    const gen = core.gen;
    try {
      const answer = await core.get(query());
      state.buckets = answer.buckets;
      state.from = seconds(answer.buckets[0].from);
      state.step = (seconds(answer.buckets[answer.buckets.length - 1].to) - state.from) / answer.buckets.length;
      paint();
    } catch (error) {
      if (!core.isAbort(error) && gen === core.gen) ig.setText(ui.axis, 'The histogram cannot be shown: ' + error.message);
    } finally {
      if (gen === core.gen) {
        state.loading = false;
        plan();
      }
    }
  }

  const looked = () => core.shown && core.tab === 'events' && document.visibilityState === 'visible';
  function plan() {
    clearTimeout(state.timer);
    if (!core.session || core.ended()) return;
    state.timer = setTimeout(() => (looked() ? load() : plan()), state.step <= 2 ? FAST_MS : SLOW_MS);
  }

  /* ---------------------------------------------------------------- painting */

  function paint() {
    const n = state.buckets.length || 1;
    const w = 1000 / n;
    const gap = Math.min(w * 0.3, 1.4);
    const top = Math.max(1, ...state.buckets.map((b) => b.events + b.lost));
    let bars = '', lost = '';
    state.buckets.forEach((bucket, i) => {
      const x = (i * w).toFixed(2), width = (w - gap).toFixed(2);
      const high = bucket.events ? Math.max(2, (bucket.events / top) * (HEIGHT - 2)) : 0;
      if (high) bars += 'M' + x + ' ' + HEIGHT + 'v' + (-high).toFixed(1) + 'h' + width + 'V' + HEIGHT + 'z';
      if (!bucket.lost) return;
      const more = Math.max(3, (bucket.lost / top) * (HEIGHT - 2));
      const foot = Math.max(more, HEIGHT - high);
      lost += 'M' + x + ' ' + foot.toFixed(1) + 'v' + (-more).toFixed(1) + 'h' + width + 'v' + more.toFixed(1) + 'z';
    });
    ui.bars.setAttribute('d', bars);
    ui.lost.setAttribute('d', lost);
    paintGaps();
    paintMark();
    paintAxis(n);
    ui.plot.setAttribute('aria-valuemax', String(n - 1));
    ui.root.classList.remove('s-wait');
    if (state.at >= 0) point(state.at);
  }

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
      if (left > 96) break;
      labels.push(ig.el('span', { style: { left: left.toFixed(2) + '%' } }, label(s, every)));
    }
    ui.axis.replaceChildren(...labels);
  }
  function label(s, every) {
    if (every >= 86400) return ig.fmt.datetime(s * 1000).slice(5, 10);
    return every >= 60 ? ig.fmt.clock(s * 1000).slice(0, 5) : ig.fmt.clock(s * 1000);
  }

  /* ---------------------------------------------------------------- pointing and jumping */

  function indexAt(event) {
    const box = ui.plot.getBoundingClientRect();
    const i = Math.floor(((event.clientX - box.left) / box.width) * state.buckets.length);
    return i >= 0 && i < state.buckets.length ? i : -1;
  }

  function words(bucket) {
    const lost = bucket.lost > 0 ? ', ' + ig.fmt.count(bucket.lost) + ' lost' : '';
    return ig.fmt.clock(bucket.from) + '–' + ig.fmt.clock(bucket.to) + ': ' + ig.fmt.count(bucket.events) + (bucket.events === 1 ? ' event' : ' events') + lost;
  }

  function point(i) {
    state.at = i;
    const bucket = state.buckets[i];
    ui.tip.hidden = !bucket;
    ui.here.setAttribute('width', bucket ? 1000 / state.buckets.length : 0);
    if (!bucket) return;
    ui.here.setAttribute('x', (i * 1000) / state.buckets.length);
    const parts = [ig.el('b', {}, ig.fmt.clock(bucket.from) + ' – ' + ig.fmt.clock(bucket.to)), ig.fmt.count(bucket.events) + (bucket.events === 1 ? ' event' : ' events')];
    if (bucket.lost > 0) parts.push(ig.el('span', { class: 't-warn' }, ig.fmt.count(bucket.lost) + ' lost'));
    ui.tip.replaceChildren(...parts);
    const x = ((i + 0.5) / state.buckets.length) * ui.plot.clientWidth;
    ui.tip.style.left = Math.min(Math.max(x, 70), ui.plot.clientWidth - 70) + 'px';
    ui.plot.setAttribute('aria-valuenow', String(i));
    ui.plot.setAttribute('aria-valuetext', words(bucket));
  }

  function onKey(event) {
    const last = state.buckets.length - 1;
    const step = { ArrowRight: 1, ArrowLeft: -1, PageUp: -10, PageDown: 10 }[event.key];
    if (step) point(Math.min(last, Math.max(0, (state.at < 0 ? last : state.at) + step)));
    else if (event.key === 'Enter' || event.key === ' ') jump(state.at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  async function jump(i) {
    const bucket = state.buckets[i];
    if (!bucket) return;
    try {
      await view.showTime(bucket.from);
    } catch (error) {
      if (!core.isAbort(error)) ig.toast('Could not go there: ' + error.message, 'err');
    }
  }

  function onOpen() {
    clearTimeout(state.timer);
    Object.assign(state, { buckets: [], loading: false, at: -1 });
    ui.root.classList.add('s-wait');
    ui.tip.hidden = true;
    for (const path of [ui.bars, ui.lost, ui.gaps, ui.mark]) path.setAttribute('d', '');
    ui.axis.replaceChildren();
  }

  view.histogram = { load: load, mark: () => ui && paintMark() };

  ig.ready(() => {
    build();
    core.on('open', onOpen);
    core.on('painted', () => core.quiet(load()));
    core.on('losses', () => state.buckets.length > 0 && paintGaps());
    core.on('session', () => { if (core.ended() && state.buckets.length > 0) core.quiet(load()); });
    core.on('tab', (name) => { if (name === 'events' && core.session) core.quiet(load()); });
    core.on('close', () => clearTimeout(state.timer));
    document.addEventListener('visibilitychange', () => { if (looked()) core.quiet(load()); });
  });
})();
