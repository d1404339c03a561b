/* The line above the histogram: what a bar is, the legend of a split (click = only this value, with
   Alt or Shift without it), and the way nearer and back. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;
  const COLORS = [1, 2, 3, 4, 5, 6];
  const OFTEN = /^(type|error|rcode|qtype|qr|state|proto|k8s\.(namespace|podName|containerName|node)|proc\.comm|comm|name|@node)$/;
  const GROUPED = ['tag', 'error', 'code', 'node'];
  const bar = { colors: new Map(), of: '', options: '' };
  let ui = null, state = null;

  /* A value keeps its colour while the split lasts, whatever rank it has. */
  function color(value) {
    if (bar.of !== core.id + core.asked.split) {
      bar.of = core.id + core.asked.split;
      bar.colors = new Map();
    }
    if (!bar.colors.has(value)) {
      const shown = new Set(state.values.filter((one) => bar.colors.has(one)).map((one) => bar.colors.get(one)));
      bar.colors.set(value, COLORS.find((one) => !shown.has(one)) || COLORS[bar.colors.size % COLORS.length]);
    }
    return 'var(--c' + bar.colors.get(value) + ')';
  }

  const named = (value) => (value === '' ? '(empty)' : value);
  function totals() {
    const all = new Map(state.values.map((value) => [value, 0]));
    let events = 0;
    for (const bucket of state.buckets) {
      events += bucket.events;
      for (const [value, n] of Object.entries(bucket.split || {})) if (all.has(value)) all.set(value, all.get(value) + n);
    }
    return { all: all, other: events - [...all.values()].reduce((sum, n) => sum + n, 0) };
  }

  /* ---------------------------------------------------------------- filtering by the legend */

  const fieldOf = () => core.asked.split;
  /* The value as the field has it: a legend only knows texts. */
  function typed(value) {
    const field = (core.fields || []).find((one) => one.name === fieldOf());
    const number = field && /^(Uint|Int|Float)\d+$/.test(field.kind || '') && /^-?\d+(\.\d+)?$/.test(value);
    return number ? (Number.isSafeInteger(Number(value)) ? Number(value) : new ig.Big(value)) : field && field.kind === 'Bool' ? value === 'true' : value;
  }
  function filter(value, out) {
    const name = view.words ? view.words.short(fieldOf() === 'node' ? '@node' : fieldOf(), new Set((core.fields || []).map((one) => one.name))) : fieldOf();
    view.filter.value(name, typed(value), out);
  }

  /* ---------------------------------------------------------------- painting */

  function legend() {
    const { all, other } = totals();
    const items = [...all].map(([value, n]) => el('button', { type: 'button', title: named(value) + ': click = only these, Alt click = without', style: { '--k': color(value) }, data: { value: value }, on: { click: (event) => filter(value, event.altKey || event.shiftKey) } },
      el('i', {}), el('span', { class: 'ell' }, named(value)), el('span', { class: 'num' }, ig.fmt.count(n))));
    if (other > 0) items.push(el('span', { class: 's-other', style: { '--k': 'var(--c8)' } }, el('i', {}), 'other', el('span', { class: 'num' }, ig.fmt.count(other))));
    return items;
  }

  function words() {
    const step = state.step < 1 ? Math.round(state.step * 1000) + ' ms' : ig.fmt.duration(state.step * 1000);
    const what = core.asked.filter ? 'Matching events' : 'Events';
    const scope = state.scope;
    const part = scope && !scope.complete ? ', of the newest ' + ig.fmt.count(scope.examined) + ' of ' + ig.fmt.count(scope.total) : '';
    return what + ' per ' + step.replace(/^(\d+) s$/, '$1 s') + part;
  }

  function button(icon, label, title, fn) {
    return el('button', { class: 'btn s', type: 'button', title: title, on: { click: fn } }, icon ? ig.icon(icon) : null, label);
  }
  function tools() {
    const { from, to } = core.asked;
    const found = [];
    const inside = state.zoom && from && to && state.zoom.from >= view.histogram.seconds(from) - state.step && state.zoom.to <= view.histogram.seconds(to) + state.step;
    if (from && to && !inside) found.push(button('search', 'Zoom in', 'Show only the chosen time', () => view.histogram.zoom({ from: view.histogram.seconds(from), to: view.histogram.seconds(to) })));
    if (state.zoom) found.push(button(null, 'Zoom out', 'Show three times as much', view.histogram.zoomOut));
    if (state.zoom || from || to) found.push(button('refresh', 'All times', 'Double click does the same', view.brush.all));
    return found;
  }

  /* Fields worth splitting by, those people ask for first. */
  function options() {
    const list = (view.grid.state.list || []).filter((column) => !['time', 'measure'].includes(column.role));
    const often = list.filter((column) => OFTEN.test(column.id) || GROUPED.includes(column.role));
    const rest = list.filter((column) => !often.includes(column));
    const option = (column) => el('option', { value: view.columns.sortName(column) }, column.id.startsWith('@') ? column.label : view.columns.sortName(column));
    const nodes = [el('option', { value: '' }, 'No split'), el('optgroup', { label: 'Often' }, often.map(option)), el('optgroup', { label: 'All fields' }, rest.map(option))];
    const known = [...often, ...rest].some((column) => view.columns.sortName(column) === core.asked.split);
    if (core.asked.split && !known) nodes.push(el('option', { value: core.asked.split }, core.asked.split));
    return nodes;
  }

  function paint() {
    const split = core.asked.split !== '';
    ui.words.hidden = split && !(state.scope && !state.scope.complete);
    ig.setText(ui.words, words());
    ui.legend.hidden = false;
    const key = JSON.stringify([core.id, core.asked.split, [...totals().all], totals().other]);
    if (ui.legend.dataset.key !== key) {
      const focused = document.activeElement && ui.legend.contains(document.activeElement) ? document.activeElement.dataset.value : null;
      ui.legend.dataset.key = key;
      ui.legend.replaceChildren(...(split ? legend() : []));
      if (focused !== null) [...ui.legend.children].find((node) => node.dataset.value === focused)?.focus();
    }
    ui.tools.replaceChildren(...tools());
    ui.split.hidden = !core.session;
    if (ui.split.value !== core.asked.split) fill();
  }
  function fill() {
    ui.split.replaceChildren(...options());
    ui.split.value = core.asked.split;
  }

  view.histbar = {
    attach(parts, shared) {
      state = shared;
      const split = el('select', { class: 'form-select s-split-by', 'aria-label': 'Split the bars by', title: 'Split the bars by a field', on: { change: () => core.ask({ split: split.value }) } });
      ui = { words: el('span', { class: 's-hist-words' }), legend: el('div', { class: 's-legend', role: 'group', 'aria-label': 'Values of the split' }), tools: el('span', { class: 's-tools-inline' }), split: split };
      parts.bar.append(ui.words, ui.legend, ui.tools, split);
      core.on('columns', fill);
    },
    paint: paint,
    color: color,
    /* The values of one bar, for its tip. */
    parts(bucket) {
      return state.values.filter((value) => bucket.split && bucket.split[value]).map((value) => el('span', { class: 's-tip-split' }, el('i', { style: { background: color(value) } }), named(value) + ' ' + ig.fmt.count(bucket.split[value])));
    },
  };
})();
