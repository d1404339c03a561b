/* One event, whole: every value with its name, grouped, each one to copy; or the JSON as the gadget
   delivered it. Opens by click, key or deep link, and never waits for the grid. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const text = view.text;
  const el = ig.el;
  let ui = null, seq = null, row = null, raw = false;

  function build() {
    const button = (label, icon, fn, key) => el('button', { class: 'btn ghost s icon', type: 'button', 'aria-label': label, title: label + (key ? ' (' + key + ')' : ''), on: { click: fn } }, ig.icon(icon));
    const title = el('h2', {}, 'Event');
    const fields = el('button', { class: 'btn s', type: 'button', on: { click: () => setRaw(false) } }, 'Fields');
    const json = el('button', { class: 'btn s', type: 'button', on: { click: () => setRaw(true) } }, 'JSON');
    const copy = el('button', { class: 'btn s ghost', type: 'button', on: { click: () => row && view.copy(row.raw, 'The event’s JSON') } }, ig.icon('copy'), 'Copy JSON');
    const body = el('div', { class: 's-drawer-body', tabindex: '0' });
    const root = ig.$('session-drawer');
    root.append(
      el('div', { class: 's-drawer-head' }, title, el('span', { class: 'sp' }), button('Newer event', 'up', () => view.grid.move(-1), 'k'),
        button('Older event', 'down', () => view.grid.move(1), 'j'), button('Close', 'close', () => view.grid.select(null), 'Esc')),
      el('div', { class: 's-drawer-bar' }, el('div', { class: 's-switch', role: 'group', 'aria-label': 'How to show the event' }, fields, json), el('span', { class: 'sp' }), copy),
      body);
    ui = { root: root, title: title, body: body, fields: fields, json: json, copy: copy };
    setRaw(false);
  }

  function setRaw(on) {
    raw = on;
    ui.fields.setAttribute('aria-pressed', String(!on));
    ui.json.setAttribute('aria-pressed', String(on));
    if (row) paint();
  }

  async function show(wanted) {
    seq = wanted;
    row = null;
    ui.root.hidden = wanted === null;
    ig.$('session-split').classList.toggle('s-open', wanted !== null);
    if (wanted === null) return;
    ig.setText(ui.title, 'Event #' + ig.fmt.count(wanted));
    const here = view.grid.selected();
    if (here && here.seq === wanted) {
      row = here;
      paint();
      return;
    }
    ui.body.replaceChildren(...[70, 45, 60, 85, 40].map((width) => el('div', { class: 'sk', style: { width: width + '%', margin: '8px 0' } })));
    try {
      const found = new text.Row(await core.text('/events/' + wanted));
      if (seq !== wanted) return;
      row = found;
      paint();
      view.histogram.mark();
    } catch (error) {
      if (core.isAbort(error) || seq !== wanted) return;
      missing(error, wanted);
    }
  }

  function missing(error, wanted) {
    const gone = error.problem && error.problem.status === 404;
    const last = view.grid.state.latest;
    ui.body.replaceChildren(el('p', { class: 'muted' }, gone
      ? 'This session has no event #' + ig.fmt.count(wanted) + (last > 0 ? '; its newest is #' + ig.fmt.count(last) + '.' : ' yet.')
      : 'The event could not be read: ' + error.message));
  }

  function paint() {
    ui.body.replaceChildren(...(raw ? json() : fields()));
    ui.body.scrollTop = 0;
  }

  function json() {
    return [el('pre', { class: 's-json' }, text.pretty(row.raw))];
  }

  function fields() {
    const top = [['time', ig.fmt.exactTime(row.ts), row.ts], ['node', row.node], ['source', row.source]].filter(([, value]) => value);
    let groups;
    try {
      groups = text.groups(row.data);
    } catch {
      return [el('p', { class: 'muted' }, 'This text is shown as it came:'), el('pre', { class: 's-json' }, row.raw)];
    }
    const list = el('dl', { class: 's-kv' }, top.map((one) => pair(...one)));
    for (const [title, rows] of groups) {
      if (title) list.append(el('div', { class: 's-kv-title' }, el('dt', {}, title), el('dd', {})));
      list.append(...rows.map(([name, value]) => pair(name, value)));
    }
    return [list, view.eventTools(row)].filter(Boolean);
  }

  function pair(name, value, exact) {
    const empty = value === '';
    const tone = name === 'error' && !empty ? 't-err' : empty ? 'faint' : null;
    return el('div', {}, el('dt', { title: name }, name),
      el('dd', { class: tone }, el('span', {}, empty ? '–' : value), el('div', { class: 'f-tools' },
        view.valueTools(name, row), empty ? null : el('button', { class: 's-copy', type: 'button', 'aria-label': 'Copy ' + name, title: 'Copy', on: { click: () => view.copy(exact || value, name) } }, ig.icon('copy')))));
  }

  ig.ready(() => {
    build();
    core.on('open', () => show(null));
    core.on('select', show);
    core.on('close', () => { seq = null; });
  });

  /* ---------------------------------------------------------------- keys of the view */

  const inEvents = () => core.session !== null && core.tab === 'events' && core.problem === null;
  const when = (fn) => (event) => (inEvents() ? fn(event) : false);
  const onControl = (event) => Boolean(event.target.closest && event.target.closest('a,button,[role=slider],[popover]'));
  const key = (name, help, fn, label) => ig.key(name, help, when(fn), { view: 'session', label: label });

  key('j', 'Next row (older)', () => core.quiet(view.grid.move(1)));
  key('k', 'Previous row (newer)', () => core.quiet(view.grid.move(-1)));
  key('Enter', 'Open the event in the first visible row', (event) => {
    if (onControl(event) || view.grid.state.selected !== null) return false;
    core.quiet(view.grid.move(1));
    return true;
  });
  key('Escape', 'Close the event', () => {
    if (view.grid.state.selected === null && ui.root.hidden) return false;
    if (view.grid.state.selected === null) show(null);
    view.grid.select(null);
    return true;
  });
  key('p', 'Pause or follow', () => { if (!core.ended()) view.grid.toggle(); });
  key('Home', 'Newest event', () => core.quiet(view.grid.goLive()));
})();
