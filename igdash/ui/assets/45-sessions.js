/* The sessions table: every session, running or ended, in the order the server gives.
   Calm by design: counts are written in place as they come, and the order is only renewed while
   neither pointer nor keyboard is in the table (or when asked), so that no row slips away from
   under a click. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const REFRESH_MS = 5000;
  const AGES_MS = 1000;

  const view = {
    query: null, rows: [], byId: new Map(), total: 0, active: false, loading: null, focusId: null,
    stale: false, unseen: new Set(), counted: null, // the query the chips' counts are of
  };
  let ui = null;

  /* ---------------------------------------------------------------- what is on the page */

  function headCell(column) {
    const cls = 'c-' + column.key + (column.num ? ' num' : '');
    const th = ig.el('th', { class: cls, role: 'columnheader', scope: 'col' });
    if (!column.sort) {
      th.append(column.label);
      return th;
    }
    const arrow = ig.el('span', { class: 'arrow', 'aria-hidden': 'true' });
    const button = ig.el('button', { type: 'button' }, column.label, arrow);
    button.addEventListener('click', () => sortBy(column));
    th.append(button);
    th.dataset.sort = column.sort;
    return th;
  }

  function makeTable(select) {
    const head = ig.el('tr', { role: 'row' },
      ig.el('th', { class: 'c-check', role: 'columnheader', scope: 'col' }, select.all),
      ...ig.sessionsRow.COLUMNS.map(headCell));
    const body = ig.el('tbody', { role: 'rowgroup' });
    const table = ig.el('table', { class: 'sess-table', role: 'table', 'aria-label': 'Sessions' },
      ig.el('thead', { role: 'rowgroup' }, head), body);
    return { table: table, head: head, body: body };
  }

  function build(root) {
    const select = ig.sessionsSelect.make({ rows: () => view.rows, act: act });
    const toolbar = ig.sessionsQuery.toolbar((patch) => change(patch));
    const parts = makeTable(select);
    const summary = ig.el('div', { class: 'muted sess-summary', id: 'sessions-summary' });
    const create = ig.el('a', { class: 'btn primary', href: '/gadgets' }, ig.icon('plus'), 'New session');
    const imports = ig.sessionsImport.make(root, () => refresh(true));
    const problem = ig.el('div', { class: 'banner err sess-problem', role: 'alert', hidden: true });
    const empty = ig.el('div', { class: 'empty sess-empty', hidden: true });
    const sentinel = ig.el('div', { class: 'sess-more', 'aria-hidden': 'true' });
    const scroll = ig.el('div', { class: 'sess-scroll' }, parts.table, empty, sentinel);
    const shown = ig.el('span', { 'aria-live': 'polite' });
    const renew = ig.el('button', { type: 'button', class: 'btn s', hidden: true }, 'Refresh');
    renew.addEventListener('click', () => refresh(true));
    const status = ig.el('div', { class: 'status' }, shown, renew,
      ig.el('span', { class: 'sess-keys' }, ig.el('kbd', {}, '↑'), ig.el('kbd', {}, '↓'), ' move ',
        ig.el('kbd', {}, 'Enter'), ' view ', ig.el('kbd', {}, 'Space'), ' select'));
    root.replaceChildren(
      ig.el('div', { class: 'head' },
        ig.el('div', {}, ig.el('h1', {}, 'Sessions'), summary), ig.el('div', { class: 'sp' }),
        imports.button, create),
      toolbar.node, imports.box, problem, scroll, select.bar, status);
    ui = Object.assign(parts, { root, select, toolbar, summary, problem, empty, sentinel, scroll,
      shown, renew });
    listen();
    keys();
  }

  /* ---------------------------------------------------------------- the query */

  function change(patch) {
    const next = Object.assign({}, view.query, patch);
    if (JSON.stringify(next) === JSON.stringify(view.query)) return;
    view.query = next;
    ig.sessionsQuery.toUrl(next);
    showQuery();
    load();
  }

  function sortBy(column) {
    const now = view.query.sort;
    const down = '-' + column.sort;
    if (now === column.sort) change({ sort: down });
    else if (now === down) change({ sort: column.sort });
    else change({ sort: column.first === 'desc' ? down : column.sort });
  }

  function showQuery() {
    ui.toolbar.show(view.query);
    const field = view.query.sort.replace(/^-/, '');
    const down = view.query.sort.startsWith('-');
    for (const th of ui.head.children) {
      if (!th.dataset.sort) continue;
      const on = th.dataset.sort === field;
      th.setAttribute('aria-sort', on ? (down ? 'descending' : 'ascending') : 'none');
      th.querySelector('.arrow').textContent = on ? (down ? '↓' : '↑') : '';
    }
  }

  /* ---------------------------------------------------------------- reading */

  /* Run one read; a newer one cancels it, and a failed one says so above the table. */
  async function read(work) {
    if (view.loading) view.loading.abort();
    const controller = (view.loading = new AbortController());
    try {
      const answer = await work(controller.signal);
      if (view.loading !== controller) return null;
      showProblem(null);
      return answer;
    } catch (error) {
      if (error.name === 'AbortError' || view.loading !== controller) return null;
      showProblem({ text: 'The list could not be read: ' + error.message, retry: load });
      return null;
    } finally {
      if (view.loading === controller) view.loading = null;
    }
  }

  async function load() {
    ui.scroll.setAttribute('aria-busy', 'true');
    const query = view.query;
    const rows = read((signal) => ig.sessionsQuery.page(query, 0, ig.sessionsQuery.PAGE, signal));
    view.counted = null;
    refreshNumbers();
    const answer = await rows;
    ui.scroll.removeAttribute('aria-busy');
    if (!answer) return;
    ui.scroll.scrollTop = 0;
    arrange(answer.sessions, answer.total);
  }

  async function more() {
    if (view.loading || view.rows.length >= view.total || !view.rows.length) return;
    const answer = await read((signal) =>
      ig.sessionsQuery.page(view.query, view.rows.length, ig.sessionsQuery.PAGE, signal));
    if (!answer) return;
    const old = view.rows.map((row) => row.session);
    arrange(old.concat(answer.sessions), answer.total);
  }

  /* Read again what is loaded. Without `force`, a table in use keeps its order, and more rows than one
     answer holds are left to the frames. */
  async function refresh(force) {
    if (!view.query || view.loading) return;
    if (!force && view.rows.length > ig.sessionsQuery.MOST) {
      refreshNumbers();
      return;
    }
    const wanted = Math.max(view.rows.length, ig.sessionsQuery.PAGE);
    const answer = await read((signal) => ig.sessionsQuery.upTo(view.query, wanted, signal));
    if (!answer) return;
    if (force || !inUse()) {
      arrange(answer.sessions, answer.total);
    } else {
      answer.sessions.forEach(writeKnown);
      view.stale = orderDiffers(answer.sessions);
      showStatus();
    }
    refreshNumbers();
  }

  function orderDiffers(sessions) {
    return sessions.length !== view.rows.length || sessions.some((s, i) => s.id !== view.rows[i].id);
  }

  function inUse() {
    return (
      ui.body.matches(':hover') || ui.body.contains(document.activeElement) ||
      ig.sessionsActions.menuOpen() || ui.select.size() > 0 ||
      document.querySelector('dialog[open]') !== null
    );
  }

  /* The header line, and the chips' counts when they may have changed. Never holds up the rows. */
  async function refreshNumbers() {
    const query = view.query;
    try {
      const [stats, numbers] = await Promise.all([ig.api('/api/stats'),
        view.counted === query ? null : ig.sessionsQuery.counts(query)]);
      if (query !== view.query) return;
      showSummary(stats);
      if (!numbers) return;
      ui.toolbar.counts(numbers);
      view.counted = query;
    } catch {
      // The rows' own read tells of a server that does not answer.
    }
  }

  function showSummary(stats) {
    const totals = stats.totals || stats;
    const running = Number(totals.running || 0);
    const history = Math.max(0, Number(totals.sessions || 0) - running);
    const size = Number(totals.database_bytes || totals.bytes || 0);
    ui.summary.textContent =
      ig.fmt.count(running) + ' running, ' + ig.fmt.count(history) + ' in history · ' +
      ig.fmt.count(totals.events || 0) + ' events stored, ' + ig.fmt.bytes(size);
    ui.summary.title = ig.fmt.count(totals.events || 0) + ' events';
  }

  /* ---------------------------------------------------------------- painting */

  function writeKnown(session) {
    const row = view.byId.get(session.id);
    if (row) ig.sessionsRow.update(row, session);
  }

  /* Make the table show exactly these, in this order; rows already there are kept and moved. */
  function arrange(sessions, total) {
    const rows = [];
    const byId = new Map();
    for (const session of sessions) {
      if (byId.has(session.id)) continue;
      const row = view.byId.get(session.id);
      if (row) ig.sessionsRow.update(row, session);
      const kept = row || ig.sessionsRow.build(session);
      rows.push(kept);
      byId.set(session.id, kept);
    }
    for (const row of view.rows) if (!byId.has(row.id)) row.tr.remove();
    rows.forEach((row, i) => {
      if (ui.body.children[i] !== row.tr) ui.body.insertBefore(row.tr, ui.body.children[i] || null);
    });
    if (view.total !== Number(total)) view.counted = null;
    Object.assign(view, { rows, byId, total: Number(total), stale: false });
    view.unseen.clear();
    ui.select.sync();
    roving(view.focusId);
    fillFilters();
    showStatus();
    showEmpty();
  }

  function fillFilters() {
    const gadgets = new Map();
    const namespaces = new Map();
    const environments = new Map();
    for (const { session } of view.rows) {
      environments.set(session.environment, session.environment);
      gadgets.set(session.gadget, session.title || session.gadget);
      const namespace = session.target && session.target.namespace;
      if (namespace) namespaces.set(namespace, namespace);
    }
    const sorted = (map) => [...map].sort((a, b) => a[1].localeCompare(b[1]));
    if (!ig.sessionsQuery.filtered(view.query) || !ui.filters) {
      ui.filters = [gadgets, namespaces, environments].map(sorted);
    }
    ui.toolbar.options(...ui.filters, view.query);
  }

  function showStatus() {
    const shown = ig.fmt.count(view.rows.length) + ' of ' + ig.fmt.count(view.total) + ' sessions';
    ui.shown.textContent = shown;
    const fresh = view.unseen.size;
    ui.renew.hidden = !(view.stale || fresh);
    ui.renew.textContent = fresh ? fresh + ' new · Refresh' : 'Order changed · Refresh';
  }

  function showEmpty() {
    ui.empty.hidden = view.rows.length > 0;
    ui.table.classList.toggle('none', view.rows.length === 0);
    if (view.rows.length) return;
    const notes = ig.sessionsNotes;
    ui.empty.replaceChildren(...(ig.sessionsQuery.filtered(view.query)
      ? notes.noMatch(view.query, () => change({ q: '', state: '', gadget: '', namespace: '', environment: '' }))
      : notes.nothingYet()));
  }

  function showProblem(problem) {
    ui.problem.hidden = !problem;
    if (problem) ui.problem.replaceChildren(...ig.sessionsNotes.problem(problem.text, problem.retry));
  }

  /* ---------------------------------------------------------------- acting */

  const hooks = {
    mark(id, state) {
      const row = view.byId.get(id);
      if (row) ig.sessionsRow.hold(row, state);
      ui.select.sync();
    },
    gone(ids) {
      const away = new Set(ids);
      arrange(view.rows.filter((row) => !away.has(row.id)).map((row) => row.session),
        view.total - away.size);
      refreshNumbers();
    },
  };

  async function act(name, sessions) {
    const stopping = name === 'stop';
    const work = stopping ? ig.sessionsActions.stop : ig.sessionsActions.remove;
    const failures = await work(sessions, hooks);
    if (failures === null) return;
    ig.running.refresh();
    if (!failures.length) ui.select.clear();
    ui.problem.hidden = failures.length === 0;
    if (!failures.length) return;
    ui.problem.replaceChildren(...ig.sessionsNotes.failures(stopping ? 'stopped' : 'deleted',
      failures, () => (ui.problem.hidden = true)));
  }

  async function actOn(row, name, button) {
    const session = row.session;
    if (name === 'stop') await act('stop', [session]);
    else if (name === 'delete') await act('delete', [session]);
    else if (name === 'copy') ig.sessionsActions.copyId(session);
    else if (name === 'change') ig.nav(ig.startUrl(session));
    else if (name === 'menu') ig.sessionsActions.menu(session, button, (n) => actOn(row, n, button));
    else if (name === 'again' && (await ig.sessionsActions.again(session))) {
      ig.running.refresh();
      refresh(true);
    }
  }

  /* ---------------------------------------------------------------- pointer and keyboard */

  const rowOf = (node) => {
    const tr = node.closest('tr[data-id]');
    return tr ? view.byId.get(tr.dataset.id) : null;
  };

  /* One row is in the tab order; arrows move it. */
  function roving(id) {
    const at = view.byId.get(id) || view.rows[0];
    view.rows.forEach((row) => (row.tr.tabIndex = row === at ? 0 : -1));
    view.focusId = at ? at.id : null;
  }

  function move(step) {
    const at = view.rows.findIndex((row) => row.id === view.focusId);
    const to = Math.min(view.rows.length - 1, Math.max(0, at + step));
    if (!view.rows[to]) return;
    roving(view.rows[to].id);
    view.rows[to].tr.focus();
    if (to >= view.rows.length - 5) more();
  }

  function onClick(event) {
    const row = rowOf(event.target);
    if (!row) return;
    if (event.target.matches('input[type=checkbox]')) {
      ui.select.toggle(row.id, event.target.checked, event.shiftKey);
      return;
    }
    const button = event.target.closest('button[data-act]');
    if (button) actOn(row, button.dataset.act, button);
    else if (event.target.closest('.c-check')) row.parts.check.click();
    else if (!event.target.closest('a') && !selecting()) ig.nav('/sessions/' + row.id);
  }

  /* Whether the click ended a selection of text in the table: then nothing is opened. */
  function selecting() {
    const selection = window.getSelection();
    return !selection.isCollapsed && ui.body.contains(selection.anchorNode);
  }

  const KEYS = {
    ArrowDown: () => move(1), ArrowUp: () => move(-1), j: () => move(1), k: () => move(-1),
    Home: () => move(-Infinity), End: () => move(Infinity),
    PageDown: () => move(15), PageUp: () => move(-15),
    Enter: (row) => ig.nav('/sessions/' + row.id),
    ' ': (row, event) => ui.select.toggle(row.id, !ui.select.has(row.id), event.shiftKey),
  };

  function onKey(event) {
    const row = event.target.matches('tr[data-id]') && rowOf(event.target);
    if (!row || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    KEYS[event.key](row, event);
  }

  function keys() {
    const here = { view: 'sessions' };
    const intoTable = () => (view.rows.length ? move(0) : false);
    ig.key('/', 'Search', () => {
      ui.toolbar.input.focus();
      ui.toolbar.input.select();
    }, here);
    ig.key('j', 'Next row', intoTable, here);
    ig.key('ArrowDown', 'Into the table', intoTable, here);
    ig.key('k', 'Previous row', intoTable, here);
    ig.key('Enter', 'View the session of the row', () => false, here);
    ig.key(' ', 'Select the row (Shift: a range)', () => false, here);
    ig.key('Escape', 'Clear the selection', () => {
      if (!ui.select.size()) return false;
      ui.select.clear();
    }, here);
  }

  function listen() {
    ui.body.addEventListener('click', onClick);
    ui.body.addEventListener('keydown', onKey);
    ui.body.addEventListener('mousedown', (event) => {
      if (event.shiftKey && event.target.closest('.c-check')) event.preventDefault();
    });
    ui.body.addEventListener('focusin', (event) => {
      const row = event.target.matches('tr[data-id]') && rowOf(event.target);
      if (row) roving(row.id);
    });
    new IntersectionObserver((seen) => {
      if (seen.some((entry) => entry.isIntersecting)) more();
    }, { root: ui.scroll, rootMargin: '400px' }).observe(ui.sentinel);
    setInterval(() => {
      if (view.active && !document.hidden) refresh(false);
    }, REFRESH_MS);
    setInterval(() => {
      if (view.active && !document.hidden) view.rows.forEach(ig.sessionsRow.writeAge);
    }, AGES_MS);
  }

  function onLive(frame) {
    if (!view.active || !view.query) return;
    let gone = false;
    for (const [id, part] of Object.entries(frame.sessions || {})) {
      const row = view.byId.get(id);
      if (row) {
        const changed = row.session.state !== part.state;
        ig.sessionsRow.update(row, part);
        if (changed) {
          ui.select.sync();
          view.counted = null;
        }
      } else if (part.state !== 'running' && part.state !== 'starting') {
        gone = view.unseen.delete(id) || gone; // one that was deleted here still says how it ends
      } else if (!ig.sessionsQuery.filtered(view.query) && view.rows.length === view.total) {
        view.unseen.add(id);
      }
    }
    if (view.unseen.size || gone) showStatus();
  }

  function enter(route) {
    if (!ui) build(document.getElementById('sessions-root'));
    const query = ig.sessionsQuery.fromParams(route.params);
    const same = view.query && JSON.stringify(query) === JSON.stringify(view.query);
    view.active = true;
    view.query = query;
    showQuery();
    if (same && view.rows.length) refresh(true);
    else load();
  }

  ig.onRoute('sessions', enter);
  ig.onLeave('sessions', () => {
    view.active = false;
    ig.sessionsActions.closeMenu(false);
  });
  ig.live.on(onLive);
})();
