/* The filter bar: the parts of the filter as chips, a field for the next one, and the exact number of
   events that match. The address is the truth: everything here only changes it. A part that is
   switched off is kept in this page and is no part of the filter. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const words = view.words;
  const el = ig.el;
  const HINT = 'Filter: field = value, ~ contains, error != "", proc.pid > 2000 …';
  const off = new Map(); // session id → parts switched off
  const bar = { parts: [], editing: null, ui: null };

  function build() {
    const field = view.filterInput({
      onEnter: enter,
      onEscape: escape,
      onEmptyBack: () => { if (bar.editing !== null || bar.parts.length === 0) return false; edit(bar.parts.length - 1); return true; },
    });
    const box = ig.$('session-filter-box');
    const kbd = el('kbd', { class: 'f-slash', 'aria-hidden': 'true' }, '/');
    const clear = el('button', { class: 'btn ghost s icon f-clear', type: 'button', hidden: true, 'aria-label': 'Remove the whole filter', title: 'Remove the whole filter', on: { click: () => { off.delete(core.id); bar.editing = null; set(''); field.set(''); paint(); } } }, ig.icon('close'));
    box.append(field.root, kbd, clear);
    box.after(field.box);
    box.addEventListener('pointerdown', (event) => { if (event.target === box) { event.preventDefault(); field.focus(false); } });
    view.menu(ig.$('session-filter-kept'), () => view.keptFilters());
    bar.ui = { field: field, box: box, kbd: kbd, clear: clear, range: ig.$('session-range') };
  }

  /* ---------------------------------------------------------------- changing the filter */

  const filter = (view.filter = {});
  filter.text = () => words.join(bar.parts);
  function set(text) {
    core.ask({ filter: text });
    if (text) view.rememberFilter(text);
  }
  filter.set = (text) => { bar.editing = null; bar.ui.field.set(''); set(text); paint(); };
  filter.parts = () => [...bar.parts];
  const among = (list) => { const known = new Set(list.map(words.normal)); return (part) => known.has(words.normal(part)); };
  filter.has = (condition) => among(bar.parts)(condition);

  /* Narrow to `condition`; asking for it again takes it back, and its opposite goes away. */
  filter.add = function (conditions, opposite) {
    const list = [].concat(conditions);
    const gone = among(opposite === undefined ? list : [...list, opposite]);
    const rest = bar.parts.filter((part) => !gone(part));
    set(words.join(list.every(filter.has) ? rest : [...rest, ...list]));
  };
  filter.value = function (name, value, out) {
    const is = words.is(name, value), not = words.isNot(name, value);
    filter.add(out ? not : is, out ? is : not);
  };

  function enter(text) {
    const more = words.parts(text);
    const parts = [...bar.parts];
    if (bar.editing === null) parts.push(...more.filter((part) => !filter.has(part)));
    else parts.splice(bar.editing, 1, ...more);
    bar.editing = null;
    bar.ui.field.set('');
    set(words.join(parts));
    paint();
    bar.ui.field.focus(false);
  }
  function escape() {
    const { field } = bar.ui;
    if (bar.editing === null && field.input.value === '') {
      field.input.blur();
      return;
    }
    bar.editing = null;
    field.set('');
    paint();
    field.focus(false);
  }
  function edit(index) {
    bar.editing = index;
    bar.ui.field.set(bar.parts[index]);
    paint();
    bar.ui.field.focus(false);
  }
  function remove(part) {
    bar.editing = null;
    bar.ui.field.set('');
    set(words.join(bar.parts.filter((one) => one !== part)));
    bar.ui.field.focus(false);
  }

  const offs = () => off.get(core.id) || [];
  function toggle(part, on) {
    bar.editing = null;
    off.set(core.id, on ? offs().filter((one) => one !== part) : [...offs().filter((one) => one !== part), part]);
    set(words.join(on ? [...bar.parts, part] : bar.parts.filter((one) => one !== part)));
    paint();
  }

  /* ---------------------------------------------------------------- chips */

  /* The text in colours: a name, what is done with it, a value. */
  function coloured(part) {
    const tokens = words.tokens(part);
    if (!tokens) return [part];
    const out = [];
    let at = 0, first = true;
    for (const token of tokens) {
      if (token.start > at) out.push(part.slice(at, token.start));
      const sign = token.kind === 'op' || token.kind === 'keyword';
      out.push(el('span', { class: sign ? 'f-op' : first ? 'f-name' : 'f-val' }, token.text));
      first = token.kind === 'keyword' ? /^(and|or|not)$/i.test(token.text) || first : token.text === '(' ? first : false;
      at = token.end;
    }
    return out;
  }

  function chip(part, index, on) {
    const label = (what) => what + ': ' + part;
    return el('span', { class: ['chip', 'f-chip', !on && 'f-off'], data: { part: part } },
      el('button', { class: 'f-dot', type: 'button', 'aria-pressed': String(on), 'aria-label': label(on ? 'Switch off' : 'Switch on'), title: on ? 'Switch off, keep it here' : 'Switch on again', on: { click: () => toggle(part, !on) } }),
      el('button', { class: 'f-text', type: 'button', 'aria-label': label(on ? 'Edit' : 'Switch on'), title: part, on: { click: () => (on ? edit(index) : toggle(part, true)) } }, coloured(part)),
      el('button', { class: 'f-x', type: 'button', 'aria-label': label('Remove'), title: 'Remove', on: { click: () => (on ? remove(part) : forget(part)) } }, ig.icon('close')));
  }
  function forget(part) {
    off.set(core.id, offs().filter((one) => one !== part));
    paint();
  }

  function paint() {
    const { box, field, kbd, clear } = bar.ui;
    for (const old of box.querySelectorAll('.f-chip')) old.remove();
    const chips = bar.parts.map((part, i) => (i === bar.editing ? null : chip(part, i, true)));
    const before = chips.slice(0, bar.editing === null ? chips.length : bar.editing);
    const after = bar.editing === null ? [] : chips.slice(bar.editing + 1);
    const sleeping = offs().filter((part) => !bar.parts.includes(part)).map((part) => chip(part, -1, false));
    /* The field itself is never moved: it would lose the focus. */
    field.root.before(...before.filter(Boolean), ...(bar.editing === null ? sleeping : []));
    field.root.after(...after.filter(Boolean), ...(bar.editing === null ? [] : sleeping));
    field.root.style.flex = after.length > 0 ? '0 1 ' + (field.input.value.length + 6) + 'ch' : '';
    const some = bar.parts.length > 0 || offs().length > 0;
    field.input.placeholder = some ? 'and …' : HINT;
    box.classList.toggle('f-some', some);
    clear.hidden = !some;
    kbd.hidden = some;
    paintRange();
  }

  /* ---------------------------------------------------------------- the range */

  function paintRange() {
    const { from, to } = core.asked;
    const root = bar.ui.range;
    root.hidden = !from && !to;
    if (root.hidden) return;
    const clock = (moment) => ig.fmt.time(moment).replace(/\.000$/, '');
    const text = from && to ? clock(from) + ' – ' + clock(to) : from ? 'from ' + clock(from) : 'until ' + clock(to);
    root.replaceChildren(el('button', { class: 'btn', type: 'button', title: 'Only events of this time: ' + (from || 'the beginning') + ' to ' + (to || 'now') + '. Click to see all times.', 'aria-label': 'Time range ' + text + ', remove', on: { click: () => core.ask({ from: null, to: null }) } }, text, ig.icon('close')));
  }

  /* ---------------------------------------------------------------- following the address */

  function read() {
    bar.parts = words.parts(core.asked.filter);
    if (bar.editing !== null && bar.editing >= bar.parts.length) bar.editing = null;
    paint();
  }

  /* The whole filter came back as wrong (a mistyped link): put it where it can be corrected. */
  filter.wrong = function (problem) {
    const { field } = bar.ui;
    if (bar.editing !== null || document.activeElement === field.input) return;
    const whole = core.asked.filter;
    bar.parts = [whole];
    bar.editing = 0;
    field.set(whole);
    paint();
    field.fail({ message: problem.detail, position: problem.position, end: problem.end, suggestions: problem.suggestions || [] });
  };
  filter.focus = () => bar.ui.field.focus(false);

  ig.ready(() => {
    build();
    core.on('open', () => {
      bar.editing = null;
      bar.ui.field.set('');
      read();
    });
    core.on('asked', (changed) => { if (changed.some((name) => ['filter', 'from', 'to'].includes(name))) { bar.editing = null; read(); } });
    ig.key('/', 'Filter', () => {
      if (core.session === null || core.problem !== null) return false;
      if (core.tab !== 'events') core.showTab('events');
      filter.focus();
      return true;
    }, { view: 'session' });
  });
})();
