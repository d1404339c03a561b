/* Several rows at once: Ctrl or ⌘ click adds one, Shift click a stretch, x the current one. What is
   chosen can be copied as JSON (the gadget's own texts), as CSV of the columns shown, or as a filter
   that finds exactly these events again. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const text = view.text;
  const el = ig.el;
  const MOST = 5000, PAGE = 1000;
  const picks = (view.picks = {});
  let bar = null, anchor = null;
  const g = () => view.grid.state;

  /* ---------------------------------------------------------------- choosing */

  /* Whether the click chose rows instead of opening one. */
  picks.click = function (params) {
    const event = params.event || {};
    const many = event.ctrlKey || event.metaKey, stretch = event.shiftKey;
    if (!many && !stretch) {
      if (g().picked.size === 0) return false;
      picks.clear();
      return false;
    }
    window.getSelection().removeAllRanges();
    if (stretch) choose(between(anchor === null ? g().selected : anchor, params.data.seq), many);
    else toggle(params.data.seq);
    if (!stretch) anchor = params.data.seq;
    return true;
  };

  function toggle(seq) {
    const now = new Set(g().picked);
    if (now.size === 0 && g().selected !== null && g().selected !== seq) now.add(g().selected);
    if (now.has(seq)) now.delete(seq);
    else now.add(seq);
    set(now);
  }
  function choose(seqs, add) {
    set(new Set([...(add ? g().picked : []), ...seqs]));
  }
  /* The rows from one to the other, as they stand in the grid. */
  function between(one, other) {
    const a = one === null ? -1 : view.grid.indexOf(one), b = view.grid.indexOf(other);
    if (a < 0) return [other];
    const [low, high] = a < b ? [a, b] : [b, a];
    const found = [];
    for (let i = low; i <= high && found.length < MOST; i += 1) {
      const row = view.grid.at(i);
      if (row) found.push(row.seq);
      else if (!g().found && !g().ticks) found.push(g().head - i);
    }
    if (high - low >= MOST) ig.toast('The first ' + ig.fmt.count(MOST) + ' rows are chosen, not more. Export takes any number.', 'warn');
    return found;
  }

  function set(now) {
    const before = g().picked;
    g().picked = now;
    if (before.size === 0 && now.size > 0) {
      if (g().mark === 0) g().mark = view.grid.head();
      if (g().ticks) core.emit('hold');
    }
    view.grid.redraw([...new Set([...before, ...now])].slice(0, 400));
    paint();
    view.status.paint();
    if (now.size === 0) view.grid.advance();
  }
  picks.clear = function () {
    anchor = null;
    if (g().picked.size > 0) set(new Set());
  };
  picks.toggleCurrent = function () {
    if (g().selected === null) return false;
    anchor = g().selected;
    const now = new Set(g().picked);
    if (now.has(anchor)) now.delete(anchor);
    else now.add(anchor);
    set(now);
    return true;
  };

  function paint() {
    const n = g().picked.size;
    bar.hidden = n === 0;
    ig.setText(bar.firstChild, ig.fmt.count(n) + (n === 1 ? ' event chosen' : ' events chosen'));
  }

  /* ---------------------------------------------------------------- copying */

  /* The rows chosen, oldest first; those that are not at hand any more are read again. */
  async function rows() {
    const seqs = [...g().picked].sort((a, b) => a - b);
    const found = new Map();
    for (const seq of seqs) {
      const row = g().rows.get(seq) || (g().ticks || []).find((one) => one.seq === seq);
      if (row) found.set(seq, row);
    }
    for (let i = 0; i < seqs.length; i += 1) {
      if (found.has(seqs[i])) continue;
      const page = text.page(await core.text('/events?after=' + (seqs[i] - 1) + '&limit=' + Math.min(PAGE, seqs[seqs.length - 1] - seqs[i] + 1)));
      for (const row of page.events) if (g().picked.has(row.seq)) found.set(row.seq, row);
    }
    return seqs.map((seq) => found.get(seq)).filter(Boolean);
  }

  const asJson = (list) => (list.length === 1 ? list[0].raw : '[\n' + list.map((row) => row.raw).join(',\n') + '\n]');

  const RISKY = /^[=+\-@\t\r\n＝＋－＠]/;
  function cell(value, plain) {
    const safe = !plain && RISKY.test(value) ? "'" + value : value;
    return /[",\r\n]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }
  function asCsv(list) {
    const shown = g().shown.map((id) => g().list.find((column) => column.id === id)).filter((column) => column.role !== 'time');
    const names = ['seq', 'ts', ...shown.map((column) => (column.role === 'node' ? 'node' : column.id))];
    const line = (row) => [String(row.seq), row.ts, ...shown.map((column) => {
      const value = view.columns.value(column, row);
      const plain = typeof value === 'number' || ig.isBig(value);
      return cell(column.role === 'endpoint' ? view.columns.cell(column, row) : text.of(value), plain);
    })];
    return [names.map((name) => cell(name)), ...list.map(line)].map((parts) => parts.join(',')).join('\r\n') + '\r\n';
  }

  /* `seq in 5..9 or seq in (12, 14)`: stretches as ranges, the rest as a set. */
  picks.asFilter = function (seqs) {
    const sorted = [...seqs].sort((a, b) => a - b);
    const ranges = [], single = [];
    for (let i = 0; i < sorted.length; ) {
      let j = i;
      while (j + 1 < sorted.length && sorted[j + 1] === sorted[j] + 1) j += 1;
      if (j - i >= 2) ranges.push('seq in ' + sorted[i] + '..' + sorted[j]);
      else single.push(...sorted.slice(i, j + 1));
      i = j + 1;
    }
    if (single.length === 1) ranges.push('seq = ' + single[0]);
    else if (single.length > 1) ranges.push('seq in (' + single.join(', ') + ')');
    return ranges.join(' or ');
  };

  const many = () => ig.fmt.count(g().picked.size) + (g().picked.size === 1 ? ' event' : ' events');
  async function copy(how, what) {
    try {
      const list = await rows();
      view.copy(how(list), many() + ' as ' + what);
    } catch (error) {
      if (!core.isAbort(error)) ig.toast('Could not copy: ' + error.message, 'err');
    }
  }
  picks.copyJson = () => copy(asJson, 'JSON');
  picks.copyCsv = () => copy(asCsv, 'CSV');
  picks.copyFilter = () => view.copy(picks.asFilter(g().picked), 'A filter for ' + many());
  function only() {
    const filter = picks.asFilter(g().picked);
    picks.clear();
    core.ask({ filter: filter, from: null, to: null });
  }

  /* Ctrl-C without a marked text copies what is chosen. */
  function onCopy(event) {
    if (!core.shown || core.tab !== 'events' || g().picked.size === 0 || event.defaultPrevented) return;
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'c' || event.shiftKey || event.altKey) return;
    if (String(window.getSelection()) !== '' || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    event.preventDefault();
    core.quiet(picks.copyJson());
  }

  function build() {
    const button = (label, fn, title) => el('button', { class: 'btn s', type: 'button', title: title, on: { click: fn } }, label);
    bar = el('div', { class: 's-picks', role: 'group', 'aria-label': 'Events chosen', hidden: true }, el('b', { role: 'status' }),
      button('Copy JSON', picks.copyJson, 'Ctrl C'), button('Copy CSV', picks.copyCsv, 'The columns shown'), button('Copy filter', picks.copyFilter, 'A filter that finds these events'),
      button('Only these', only, 'Filter to these events'),
      el('button', { class: 'btn ghost s icon', type: 'button', 'aria-label': 'Choose none', title: 'Choose none (Esc)', on: { click: picks.clear } }, ig.icon('close')));
    ig.$('session-chip').parentNode.append(bar);
    document.addEventListener('keydown', onCopy);
  }

  const inEvents = () => core.session !== null && core.tab === 'events' && core.problem === null;
  ig.ready(() => {
    build();
    core.on('open', () => { anchor = null; bar.hidden = true; });
    ig.key('x', 'Choose the row of the open event too', () => (inEvents() ? picks.toggleCurrent() : false), { view: 'session' });
    ig.key('Ctrl+C', 'Copy the chosen events as JSON', () => false, { view: 'session', label: 'Ctrl C' });
    ig.key('click', 'Ctrl click: choose several; Shift click: up to there', () => false, { view: 'session', label: 'Ctrl click' });
    ig.key('Escape', 'Choose none', () => {
      if (!inEvents() || g().picked.size === 0) return false;
      picks.clear();
      return true;
    }, { view: 'session', label: '-' });
  });
})();
