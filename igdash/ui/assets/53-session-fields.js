/* The panel of fields: open one and see its most frequent values with their exact counts; click one
   and the history is narrowed to it. Only open fields are counted, one after the other: a short look
   at each, then the rest of long histories; and again when events arrive, the less often the longer it
   takes. Under the pointer nothing changes place. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const words = view.words;
  const el = ig.el;
  const TOP = 8, MORE = 50, AGAIN_MS = 4000, REST = 8, WIDE_PX = 1200, DEEP_MS = 15000, ALL_MS = 110000, ROWS_MS = 1500;
  const NUMBER = /^(Uint|Int|Float)\d+$/;
  const IMPORTANT = ['type', 'error', 'rcode', 'qr', 'name', 'operation', 'syscall', 'k8s.podName', 'dst.addr', '@node', 'proc.comm', 'comm', 'k8s.namespace'];
  const LEFT_OUT = /(^|\.)addr_raw(\.|$)|(^|\.)timestamp(_raw)?$/;
  const OPEN_FIRST = 5;
  const p = { list: [], open: [], shown: null, running: false, again: 0, serial: 0, timer: 0, waiting: 0, took: 0, seq: 0, inside: false, names: new Set() };
  let ui = null, aborter = new AbortController();

  /* ---------------------------------------------------------------- which fields */

  function fieldsOf(fields) {
    const groups = new Set();
    for (const field of fields) for (let dot = field.name.lastIndexOf('.'); dot > 0; dot = field.name.lastIndexOf('.', dot - 1)) groups.add(field.name.slice(0, dot));
    const leaves = fields.filter((field) => field.in_json !== false && !groups.has(field.name) && field.kind !== '' && !LEFT_OUT.test(field.name) && field.name !== 'k8s.node');
    p.names = new Set(fields.map((field) => field.name));
    const rank = (name) => { const at = IMPORTANT.indexOf(name); return at < 0 ? IMPORTANT.length : at; };
    const list = [{ id: '@node', kind: 'String', description: 'Where the event came from', template: '' },
      ...leaves.map((field) => ({ id: field.name, kind: field.kind, description: field.description || '', template: field.template || '', raw: p.names.has(field.name + '_raw') }))];
    list.forEach((one, i) => { one.index = i; one.name = words.short(one.id, p.names); one.number = NUMBER.test(one.kind) || (one.raw && /^(bytes|duration)$/.test(one.template)); });
    return list.sort((a, b) => rank(a.id) - rank(b.id) || a.index - b.index);
  }

  const key = (what) => 'igdash.fields.' + what;
  const stored = (what) => { try { return JSON.parse(localStorage.getItem(key(what))); } catch { return null; } };
  const store = (what, value) => { try { localStorage.setItem(key(what), JSON.stringify(value)); } catch { /* forgotten, then */ } };

  const firstOpen = () => p.list.map((one) => one.id).filter((id) => IMPORTANT.includes(id)).slice(0, OPEN_FIRST);

  /* ---------------------------------------------------------------- parts */

  function build() {
    const root = ig.$('session-fields');
    const search = el('input', { type: 'search', class: 'input', placeholder: 'Find a field', 'aria-label': 'Find a field', on: { input: find } });
    const list = el('div', { class: 'f-fields', tabindex: '-1' });
    const close = el('button', { class: 'btn ghost s icon', type: 'button', 'aria-label': 'Close the fields', title: 'Close', on: { click: () => toggle(false) } }, ig.icon('close'));
    root.append(el('div', { class: 'f-panel-head' }, search, close), list);
    root.addEventListener('pointerenter', () => { p.inside = true; });
    root.addEventListener('pointerleave', () => { p.inside = false; for (const one of p.list) if (one.answer && one.loose) paintValues(one, false); });
    list.addEventListener('keydown', walk);
    root.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || window.innerWidth > 900) return;
      event.stopPropagation();
      toggle(false);
    });
    ui = { root: root, search: search, list: list, button: ig.$('session-fields-toggle') };
    ui.button.addEventListener('click', () => toggle());
  }

  function find() {
    const wanted = ui.search.value.trim().toLowerCase();
    for (const one of p.list) one.node.hidden = wanted !== '' && !(one.id + ' ' + one.name + ' ' + one.description).toLowerCase().includes(wanted);
  }

  function glyph(one) {
    if (one.number) return '#';
    if (one.kind === 'Bool') return '?';
    return one.kind.endsWith('[]') ? '[]' : 'a';
  }
  const typeName = (one) => (one.number ? 'number' : one.kind === 'Bool' ? 'true or false' : one.kind.endsWith('[]') ? 'list' : 'text');

  function section(one) {
    one.count = el('span', { class: 'f-distinct' });
    one.head = el('button', { class: 'f-head', type: 'button', 'aria-expanded': 'false', title: [one.id.replace('@', ''), typeName(one), one.description].filter(Boolean).join(' · '), on: { click: () => flip(one) } },
      el('span', { class: 'f-glyph', 'aria-hidden': 'true' }, glyph(one)), el('span', { class: 'ell' }, one.name), one.count);
    one.body = el('div', { class: 'f-body', hidden: true });
    one.node = el('section', { class: 'f-facet', data: { field: one.id } }, el('h3', {}, one.head), one.body);
    one.rows = new Map();
    return one.node;
  }

  function flip(one) {
    const open = p.open.includes(one.id);
    p.open = open ? p.open.filter((id) => id !== one.id) : [...p.open, one.id];
    if (core.session) store(core.session.gadget, p.open);
    expand(one, !open);
    if (!open) refresh(one);
  }
  function expand(one, on) {
    one.body.hidden = !on;
    one.head.setAttribute('aria-expanded', String(on));
    one.node.classList.toggle('f-open', on);
    if (on && !one.answer && !one.body.firstChild) one.body.append(...[80, 55, 40].map((width) => el('div', { class: 'sk f-sk', style: { width: width + '%' } })));
  }

  /* Arrow keys go through headings and values alike. */
  function walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const stops = [...ui.list.querySelectorAll('.f-head,.f-value')].filter((node) => node.offsetParent !== null);
    const next = stops[stops.indexOf(document.activeElement) + step];
    if (!next) return;
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  /* ---------------------------------------------------------------- showing and hiding */

  const isShown = () => !ui.root.hidden;
  function toggle(on = ui.root.hidden) {
    ui.root.hidden = !on;
    if (window.innerWidth > 900) store('@shown', on);
    layout();
    if (on) {
      fill();
      if (window.innerWidth <= 900) ui.search.focus();
    } else if (ui.root.contains(document.activeElement)) ui.button.focus();
  }
  function layout() {
    const on = isShown();
    ig.$('session-split').classList.toggle('f-with', on);
    ui.button.setAttribute('aria-expanded', String(on));
  }
  function firstShown() {
    const chosen = stored('@shown');
    if (window.innerWidth <= 900) return false;
    return chosen === null ? window.innerWidth >= WIDE_PX : chosen === true;
  }

  /* ---------------------------------------------------------------- counting */

  const looked = () => core.shown && core.tab === 'events' && document.visibilityState === 'visible' && isShown();

  function refresh(one) {
    one.stale = true;
    run();
  }
  function refreshAll() {
    for (const one of p.list) one.stale = p.open.includes(one.id);
    run();
  }

  async function run() {
    if (p.running || !looked() || !core.session) return;
    p.running = true;
    clearTimeout(p.timer);
    const serial = p.serial, begun = performance.now();
    let any = false;
    try {
      for (;;) {
        const wait = p.list.filter((each) => each.stale && p.open.includes(each.id) && !each.node.hidden);
        const one = wait.find((each) => !each.budget) || wait[0];
        if (!one || serial !== p.serial || !looked()) break;
        one.stale = false;
        any = true;
        await load(one, serial);
      }
    } finally {
      if (serial === p.serial) {
        p.running = false;
        if (any) {
          p.took = performance.now() - begun;
          p.seq = Number(core.session.last_seq);
        }
        plan();
      }
    }
  }

  const called = (one) => encodeURIComponent(one.id.replace(/^@/, ''));
  async function load(one, serial) {
    const n = one.more ? MORE : TOP;
    one.node.classList.add('f-busy');
    try {
      const answer = await core.get('/fields/' + called(one) + '/top?' + core.where({ n: n, budget_ms: one.budget }), aborter.signal);
      if (serial !== p.serial) return;
      Object.assign(one, { answer: answer, error: null });
      /* What a short look did not cover is counted once all fields had theirs. */
      if (!answer.scope.complete && !one.budget) Object.assign(one, { budget: DEEP_MS, stale: true });
      paintValues(one, p.inside);
      if (one.number && answer.values.length > 0) {
        const stats = await core.get('/fields/' + called(one) + '/stats?' + core.where({ budget_ms: one.budget }), aborter.signal);
        if (serial !== p.serial) return;
        one.stats = stats;
        paintStats(one);
      }
    } catch (error) {
      if (serial !== p.serial || core.isAbort(error)) return;
      one.error = error;
      if (!(error.problem && error.problem.status === 503 && one.answer)) paintError(one);
    } finally {
      one.node.classList.remove('f-busy');
    }
  }

  /* Again when there is something new; counting may take an eighth of the time at most. */
  function plan() {
    clearTimeout(p.timer);
    if (!core.session) return;
    p.timer = setTimeout(() => {
      const failed = p.list.some((one) => one.error && p.open.includes(one.id));
      if (looked() && (Number(core.session.last_seq) > p.seq || failed)) refreshAll();
      else plan();
    }, Math.max(AGAIN_MS, p.took * REST));
  }

  /* ---------------------------------------------------------------- painting values */

  const shown = (value) => (value === '' ? '(empty)' : String(value));
  const keyOf = (value) => typeof value + ':' + String(value);

  function row(one, value) {
    const text = el('span', { class: ['f-word', value === '' && 'faint'] }, shown(value));
    const count = el('span', { class: 'f-count' });
    const fill = el('i', {});
    const is = () => one.row(value);
    const main = el('button', { class: 'f-value', type: 'button', title: shown(value), on: { click: (event) => is().click(event.altKey || event.shiftKey) } }, text, count, fill);
    const out = el('button', { class: 'f-not', type: 'button', title: 'Without this value', 'aria-label': 'Without ' + one.name + ' ' + shown(value), on: { click: () => is().click(true) } }, ig.icon('minus'));
    const node = el('div', { class: 'f-row' }, main, out);
    return { node: node, main: main, count: count, fill: fill, value: value, click: (without) => view.filter.value(one.name, value, without) };
  }

  /* `steady`: values keep their places, new ones come last; they are sorted when the pointer leaves. */
  function paintValues(one, steady) {
    const { answer } = one;
    one.row = (value) => one.rows.get(keyOf(value));
    let list = answer.values;
    if (steady && one.rows.size > 0) {
      const place = new Map([...one.rows.keys()].map((k, i) => [k, i]));
      const at = (item) => (place.has(keyOf(item.value)) ? place.get(keyOf(item.value)) : place.size);
      list = [...list].sort((a, b) => at(a) - at(b));
    }
    one.loose = steady && list.some((item, i) => item !== answer.values[i]);
    const most = Math.max(1, ...list.map((item) => item.count));
    const rows = new Map();
    const nodes = list.map((item) => {
      const mine = one.rows.get(keyOf(item.value)) || row(one, item.value);
      rows.set(keyOf(item.value), mine);
      ig.setText(mine.count, ig.fmt.count(item.count));
      mine.fill.style.width = Math.max(1, (item.count / most) * 100) + '%';
      mine.main.setAttribute('aria-pressed', String(view.filter.has(words.is(one.name, item.value))));
      return mine.node;
    });
    one.rows = rows;
    ig.setText(one.count, (answer.exact === false ? '≥ ' : '') + ig.fmt.count(answer.distinct));
    one.count.title = ig.fmt.count(answer.distinct) + ' different values';
    place(one, [...nodes, ...notes(one, answer), one.figures].filter(Boolean));
  }

  /* Put `nodes` into the body, moving only what is not in its place: a moved button loses the focus. */
  function place(one, nodes) {
    const keep = new Set(nodes);
    for (const old of [...one.body.childNodes]) if (!keep.has(old)) old.remove();
    nodes.forEach((node, i) => { if (one.body.childNodes[i] !== node) one.body.insertBefore(node, one.body.childNodes[i] || null); });
  }

  function notes(one, answer) {
    const found = [];
    if (answer.values.length === 0) found.push(el('p', { class: 'f-note' }, answer.count === 0 ? 'No event matches.' : 'No event that matches has this field.'));
    const hidden = Number(answer.distinct) - answer.values.length;
    if (hidden > 0) {
      const words = ig.fmt.count(hidden) + (answer.exact === false ? ' or more' : '') + (hidden === 1 ? ' more value' : ' more values') + ', ' + ig.fmt.count(answer.other) + (answer.other === 1 ? ' event' : ' events');
      found.push(one.more ? el('p', { class: 'f-note' }, words) : el('button', { class: 'f-more', type: 'button', on: { click: () => { one.more = true; refresh(one); } } }, words));
    }
    if (answer.missing > 0 && answer.values.length > 0) found.push(el('p', { class: 'f-note' }, ig.fmt.count(answer.missing) + ' without it'));
    const scope = answer.scope || { complete: true };
    if (!scope.complete) {
      const covered = 'newest ' + ig.fmt.count(scope.examined) + ' of ' + ig.fmt.count(scope.total);
      if (one.stale) found.push(el('p', { class: 'f-note t-warn', title: 'The rest is being counted' }, covered + ' …'));
      else found.push(el('button', { class: 'f-more t-warn', type: 'button', title: 'Values of the newest events only. Count all of them, however long it takes (at most two minutes)', on: { click: () => { one.budget = ALL_MS; refresh(one); } } }, covered));
    }
    return found;
  }

  const QUANTILES = [[0, 'min'], [0.5, 'p50'], [0.9, 'p90'], [0.99, 'p99'], [1, 'max']];
  function paintStats(one) {
    const known = new Map((one.stats.quantiles || []).map((item) => [item.at, item.value]));
    if (known.size === 0) return;
    const say = (value) => (one.template === 'bytes' ? ig.fmt.bytes(value) : one.template === 'duration' ? nanos(Number(value)) : ig.fmt.count(value));
    const title = one.stats.exact === false ? 'From a sample; min and max are exact' : 'Exact, of ' + ig.fmt.count(one.stats.numbers) + ' numbers';
    const figures = el('dl', { class: 'f-figures', title: title }, QUANTILES.filter(([at]) => known.has(at)).map(([at, name]) => el('div', {}, el('dt', {}, name), el('dd', {}, say(known.get(at))))));
    if (one.figures && one.figures.parentNode) one.figures.replaceWith(figures);
    else one.body.append(figures);
    one.figures = figures;
  }
  function nanos(value) {
    if (value < 1e3) return value + ' ns';
    if (value < 1e6) return (value / 1e3).toPrecision(3) + ' µs';
    return value < 1e9 ? Number((value / 1e6).toPrecision(3)) + ' ms' : ig.fmt.duration(value / 1e6);
  }

  function paintError(one) {
    ig.setText(one.count, '');
    const refused = one.error.problem && one.error.problem.status === 400;
    one.rows = new Map();
    place(one, [el('p', { class: 'f-note' }, refused ? 'The filter cannot be read.' : 'Not counted: ' + one.error.message)]);
  }

  /* ---------------------------------------------------------------- a session's fields */

  function fill() {
    if (!core.session || core.fields === null || !isShown()) return;
    if (p.shown !== core.id) {
      p.shown = core.id;
      const guess = core.fields.length > 0 ? core.fields : view.columns.guess([...view.grid.state.rows.values()].slice(-100));
      p.list = fieldsOf(guess);
      const kept = stored(core.session.gadget);
      p.open = Array.isArray(kept) ? kept : firstOpen();
      ui.search.value = '';
      ui.list.replaceChildren(...p.list.map(section));
      ui.list.scrollTop = 0;
      for (const one of p.list) if (p.open.includes(one.id)) expand(one, true);
    }
    refreshAll();
  }

  function restart() {
    p.serial += 1;
    p.running = false;
    clearTimeout(p.timer);
    aborter.abort();
    aborter = new AbortController();
    /* Figures come after values: until then those of another question are none of these. */
    for (const one of p.list) Object.assign(one, { budget: null, figures: null });
  }

  /* Rows come first: the server has few workers. */
  function afterRows() {
    restart();
    clearTimeout(p.waiting);
    p.waiting = setTimeout(() => { p.waiting = 0; refreshAll(); }, ROWS_MS);
  }

  view.fieldNames = () => p.names;
  view.fields = { toggle: toggle, state: p, open(id) {
    if (!isShown()) toggle(true);
    const one = p.list.find((each) => each.id === id);
    if (!one) return;
    if (!p.open.includes(id)) flip(one);
    one.node.scrollIntoView({ block: 'nearest' });
    one.head.focus();
  } };

  ig.ready(() => {
    build();
    ui.root.hidden = !firstShown();
    layout();
    core.on('open', () => { restart(); p.shown = null; p.names = new Set(); });
    core.on('ready', () => { p.names = new Set((core.fields || []).map((field) => field.name)); });
    core.on('painted', fill);
    core.on('asked', (changed) => { if (changed.some((name) => ['filter', 'from', 'to'].includes(name))) afterRows(); });
    core.on('answered', () => { if (p.waiting) { clearTimeout(p.waiting); p.waiting = 0; refreshAll(); } });
    core.on('tab', () => { if (looked()) run(); });
    core.on('close', () => { restart(); clearTimeout(p.waiting); p.waiting = 0; });
    document.addEventListener('visibilitychange', () => { if (looked()) run(); });
    ig.key('f', 'Fields and their values', () => { if (core.tab !== 'events' || !core.session) return false; toggle(); return true; }, { view: 'session' });
  });
})();
