/* Pointing at the histogram: a click jumps to a moment, a drag chooses a range of time, its edges can
   be drawn, a double click shows everything again. The same by keys: arrows, Shift and arrows, Enter. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const EDGE_PX = 6, DRAG_PX = 4, DOUBLE_MS = 240;
  const b = { drag: null, keys: null, clicked: 0 };
  let ui = null, state = null;

  /* ---------------------------------------------------------------- where things are */

  const count = () => state.buckets.length;
  const edge = (i) => state.from + state.step * i;
  function place(event) {
    const box = ui.plot.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }
  const indexAt = (event) => (count() > 0 ? Math.min(count() - 1, Math.floor(place(event) * count())) : -1);
  const edgeAt = (event) => Math.round(place(event) * count());
  const spot = (s) => (s - state.from) / (state.step * count() || 1);

  /* The chosen range as shares of the plot's width; null = none. */
  function range() {
    if (b.drag && b.drag.moved) return [Math.min(b.drag.a, b.drag.b) / count(), Math.max(b.drag.a, b.drag.b) / count()];
    if (b.keys && b.keys.a !== b.keys.b) return [Math.min(b.keys.a, b.keys.b) / count(), (Math.max(b.keys.a, b.keys.b) + 1) / count()];
    const { from, to } = core.asked;
    if (!from && !to) return null;
    return [from ? spot(Date.parse(from) / 1000) : 0, to ? spot(Date.parse(to) / 1000) : 1];
  }

  function paint() {
    const found = count() > 0 ? range() : null;
    const h = 'V' + view.histogram.height;
    if (!found) {
      for (const path of [ui.outside, ui.brush, ui.edges]) path.setAttribute('d', '');
      return;
    }
    const [a, z] = found.map((x) => Math.min(1000, Math.max(0, x * 1000)));
    const box = (x, y) => 'M' + x.toFixed(1) + ' 0H' + y.toFixed(1) + h + 'H' + x.toFixed(1) + 'z';
    const line = (x, on) => (on ? 'M' + x.toFixed(1) + ' 0' + h : '');
    ui.outside.setAttribute('d', (a > 0 ? box(0, a) : '') + (z < 1000 ? box(z, 1000) : ''));
    ui.brush.setAttribute('d', z > a ? box(a, z) : '');
    ui.edges.setAttribute('d', line(a, found[0] >= 0 && found[0] <= 1) + line(z, found[1] >= 0 && found[1] <= 1));
  }

  /* ---------------------------------------------------------------- what is said of a bar */

  const clock = (s) => { const text = ig.fmt.time(new Date(s * 1000)); return state.step < 1 ? text : text.slice(0, 8); };
  const events = (n) => ig.fmt.count(n) + (n === 1 ? ' event' : ' events');

  function words(bucket) {
    const lost = bucket.lost > 0 ? ', ' + ig.fmt.count(bucket.lost) + ' lost' : '';
    return clock(Date.parse(bucket.from) / 1000) + '–' + clock(Date.parse(bucket.to) / 1000) + ': ' + events(bucket.events) + lost;
  }

  function tell(parts, x) {
    ui.tip.replaceChildren(...parts.map((part) => (part instanceof Node ? part : ig.el('span', {}, part))));
    ui.tip.hidden = false;
    const wide = ui.width || 900, half = Math.min(wide / 2, 70 + parts.length * 40);
    ui.tip.style.left = Math.min(Math.max(x * wide, half), wide - half) + 'px';
  }

  function point(i) {
    state.at = i;
    const bucket = state.buckets[i];
    ui.tip.hidden = !bucket;
    ui.here.setAttribute('width', bucket ? 1000 / count() : 0);
    if (!bucket) return;
    ui.here.setAttribute('x', (i * 1000) / count());
    const parts = [ig.el('b', {}, clock(edge(i)) + ' – ' + clock(edge(i + 1))), events(bucket.events)];
    if (core.asked.split) parts.push(...view.histbar.parts(bucket));
    if (bucket.lost > 0) parts.push(ig.el('span', { class: 't-warn' }, ig.fmt.count(bucket.lost) + ' lost'));
    tell(parts, (i + 0.5) / count());
    ui.plot.setAttribute('aria-valuenow', String(i));
    ui.plot.setAttribute('aria-valuetext', words(bucket));
  }

  function tellRange(a, z) {
    const inside = state.buckets.slice(a, z);
    const lost = inside.reduce((sum, one) => sum + one.lost, 0);
    const parts = [ig.el('b', {}, clock(edge(a)) + ' – ' + clock(edge(z))), ig.fmt.duration((z - a) * state.step * 1000), events(inside.reduce((sum, one) => sum + one.events, 0))];
    if (lost > 0) parts.push(ig.el('span', { class: 't-warn' }, ig.fmt.count(lost) + ' lost'));
    ui.here.setAttribute('width', 0);
    tell(parts, (a + z) / 2 / count());
    ui.plot.setAttribute('aria-valuetext', 'range ' + clock(edge(a)) + ' to ' + clock(edge(z)));
  }

  /* ---------------------------------------------------------------- choosing */

  function choose(a, z) {
    const low = Math.min(a, z), high = Math.max(a, z);
    if (low === high) return;
    core.ask({ from: view.histogram.rfc(edge(low)), to: view.histogram.rfc(edge(high)) });
  }
  function reset() {
    clearTimeout(b.clicked);
    if (state.zoom) view.histogram.zoom(null);
    core.ask({ from: null, to: null });
  }

  async function jump(i) {
    if (!state.buckets[i]) return;
    try {
      await view.showTime(state.buckets[i].from);
    } catch (error) {
      if (!core.isAbort(error)) ig.toast('Could not go there: ' + error.message, 'err');
    }
  }

  /* Which edge of the range is under the pointer: 0, 1 or -1. */
  function edgeUnder(event) {
    const found = range();
    if (!found) return -1;
    const near = (share) => Math.abs(place(event) - share) * (ui.width || 900) <= EDGE_PX;
    return near(found[0]) ? 0 : near(found[1]) ? 1 : -1;
  }

  function onDown(event) {
    if (event.button !== 0 || count() === 0) return;
    const which = edgeUnder(event);
    const shares = range();
    const fixed = which >= 0 ? Math.round(Math.min(1, Math.max(0, shares[1 - which])) * count()) : edgeAt(event);
    b.drag = { x: event.clientX, a: which >= 0 ? fixed : Math.floor(place(event) * count()), b: edgeAt(event), moved: false, id: event.pointerId };
    ui.plot.setPointerCapture(event.pointerId);
  }
  function onMove(event) {
    if (!b.drag) {
      ui.plot.classList.toggle('s-at-edge', edgeUnder(event) >= 0);
      point(indexAt(event));
      return;
    }
    if (!b.drag.moved && Math.abs(event.clientX - b.drag.x) < DRAG_PX) return;
    b.drag.moved = true;
    b.drag.b = edgeAt(event);
    if (b.drag.b === b.drag.a) b.drag.b += b.drag.a < count() ? 1 : -1;
    paint();
    tellRange(Math.min(b.drag.a, b.drag.b), Math.max(b.drag.a, b.drag.b));
  }
  function onUp(event) {
    const drag = b.drag;
    b.drag = null;
    if (!drag) return;
    if (drag.moved) {
      choose(drag.a, drag.b);
      paint();
      return;
    }
    /* A second click undoes a range or a zoom: only then the first one has to wait for it. */
    const i = indexAt(event);
    clearTimeout(b.clicked);
    if (core.asked.from || core.asked.to || state.zoom) b.clicked = setTimeout(() => jump(i), DOUBLE_MS);
    else jump(i);
  }
  function cancel() {
    b.drag = null;
    paint();
  }

  function onKey(event) {
    const last = count() - 1;
    const step = { ArrowRight: 1, ArrowLeft: -1, PageUp: -10, PageDown: 10 }[event.key];
    if (step) {
      const at = state.at < 0 ? last : state.at;
      const next = Math.min(last, Math.max(0, at + step));
      if (event.shiftKey) b.keys = { a: b.keys ? b.keys.a : at, b: next };
      else b.keys = null;
      point(next);
      if (b.keys) tellRange(Math.min(b.keys.a, b.keys.b), Math.max(b.keys.a, b.keys.b) + 1);
      paint();
    } else if ((event.key === 'Enter' || event.key === ' ') && b.keys) {
      const { a, b: z } = b.keys;
      b.keys = null;
      choose(Math.min(a, z), Math.max(a, z) + 1);
    } else if (event.key === 'Enter' || event.key === ' ') jump(state.at);
    else if (event.key === 'Escape' && b.keys) {
      b.keys = null;
      paint();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  view.brush = {
    attach(parts, shared) {
      ui = parts;
      state = shared;
      const on = { pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: cancel, dblclick: reset, keydown: onKey, pointerleave: () => { if (!b.drag) point(-1); }, blur: () => { b.keys = null; point(-1); paint(); } };
      for (const [name, fn] of Object.entries(on)) ui.plot.addEventListener(name, fn);
    },
    paint: paint,
    /* After new bars: say again what is pointed at. */
    again() { if (state.at >= 0 && !b.drag && !b.keys) point(state.at); },
    reset() {
      b.drag = null;
      b.keys = null;
      clearTimeout(b.clicked);
    },
    all: reset,
  };
})();
