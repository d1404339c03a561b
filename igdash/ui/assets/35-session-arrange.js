/* The grid's columns as the user arranged them: which, in what order, how wide, which stay at the left,
   and which one the rows are sorted by. A choice is remembered per gadget in this browser and is in
   the address, so a link shows the same; an address counts for more than the memory. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const columns = view.columns;
  const BLOCK = 100;
  let api = null, applied = '', fitting = 0;
  const g = () => view.grid.state;

  function set(rows) {
    const fields = core.fields && core.fields.length > 0 ? core.fields : columns.guess(rows);
    g().list = columns.of(fields);
    if (core.isArray()) g().list[0].shown = false;
    g().chosen = wanted();
    apply(rows);
    api.setGridOption('suppressMultiSort', !core.isArray());
    syncSort();
  }
  const wanted = () => columns.fromParam(core.asked.cols) || columns.load(core.session.gadget);

  function apply(rows) {
    const { list, chosen } = g();
    const ids = columns.shown(list, chosen, rows || [...g().rows.values()].slice(-BLOCK));
    g().shown = ids;
    core.emit('columns');
    /* Setting columns is the dearest step of a switch: another session of the same gadget keeps them. */
    ig.$('session-root').classList.toggle('s-some-pinned', Boolean(chosen && chosen.pinned && chosen.pinned.length > 0));
    const key = JSON.stringify([core.session.gadget, core.isArray(), ids, chosen, list.length]);
    if (key === applied && core.fields.length > 0) return;
    applied = key;
    api.setGridOption('columnDefs', ids.map((id) => columns.def(list.find((column) => column.id === id), chosen)));
  }

  function keep(chosen) {
    g().chosen = chosen;
    columns.save(core.session.gadget, chosen);
    ig.setParam('cols', columns.toParam(chosen) || null);
    core.asked.cols = columns.toParam(chosen);
  }
  /* What is chosen once a part of it was: the order is always part of it. */
  const chosenNow = (more) => Object.assign({}, g().chosen, { shown: g().shown }, more);

  function choose(shown) {
    keep(shown === null ? null : chosenNow({ shown: shown }));
    apply();
    syncSort();
  }
  function pin(id, on) {
    const pinned = (g().chosen && g().chosen.pinned) || [];
    keep(chosenNow({ pinned: on ? [...pinned.filter((one) => one !== id), id] : pinned.filter((one) => one !== id) }));
    apply();
    syncSort();
  }
  const isPinned = (id) => Boolean(g().chosen && g().chosen.pinned && g().chosen.pinned.includes(id));
  function move(id, step) {
    const ids = [...g().shown], at = ids.indexOf(id), to = at + step;
    if (at < 0 || to < 0 || to >= ids.length) return;
    ids.splice(at, 1);
    ids.splice(to, 0, id);
    choose(ids);
  }

  /* What was done to the grid by hand. */
  function remember(event) {
    const finished = event.type === 'columnPinned' || event.finished;
    if (!finished || !core.session || !/^ui/.test(event.source || '')) return;
    const state = api.getColumnState();
    const more = { shown: state.map((one) => one.colId), pinned: state.filter((one) => one.pinned).map((one) => one.colId) };
    if (event.type === 'columnResized' && event.column) {
      more.widths = Object.assign({}, g().chosen && g().chosen.widths, { [event.column.getColId()]: Math.round(event.column.getActualWidth()) });
    }
    g().shown = more.shown;
    keep(chosenNow(more));
    core.emit('columns');
  }

  /* Texts cut in the middle depend on the width. */
  function fit() {
    cancelAnimationFrame(fitting);
    fitting = requestAnimationFrame(() => api.refreshCells());
  }

  /* ---------------------------------------------------------------- the order of rows */

  const sorted = () => api.getColumnState().filter((one) => one.sort).sort((a, b) => a.sortIndex - b.sortIndex);
  function syncSort() {
    if (!g().list) return;
    ig.$('session-root').classList.toggle('s-by-time', !core.asked.sort && !core.isArray());
    const want = columns.sortState(g().list, core.asked.sort);
    const [now] = sorted();
    if ((now ? now.colId + now.sort : '') === (want ? want.colId + want.sort : '')) return;
    api.applyColumnState({ state: want ? [want] : [], defaultState: { sort: null } });
  }
  function onSort(event) {
    if (!/^ui/.test(event.source || '')) return;
    const [one] = sorted();
    const column = one && g().list.find((each) => each.id === one.colId);
    core.ask({ sort: column ? (one.sort === 'desc' ? '-' : '') + columns.sortName(column) : null });
  }
  function sortBy(id, order) {
    const column = g().list.find((one) => one.id === id);
    core.ask({ sort: order ? (order === 'desc' ? '-' : '') + columns.sortName(column) : null });
  }
  /* The label of the column that rows are sorted by, '' = none. */
  function sortLabel() {
    const state = columns.sortState(g().list || [], core.asked.sort);
    const column = state && g().list.find((one) => one.id === state.colId);
    return column ? column.label : core.asked.sort.replace(/^-/, '');
  }

  /* ---------------------------------------------------------------- a column's own menu */

  function items(id) {
    const column = g().list.find((one) => one.id === id);
    const state = columns.sortState(g().list, core.asked.sort);
    const on = (order) => Boolean(state && state.colId === id && state.sort === order);
    const item = (icon, words, fn, disabled) => ig.el('button', { type: 'button', disabled: disabled, on: { click: fn } }, ig.icon(icon), words);
    const time = column.role === 'time', number = column.role === 'number' || column.role === 'measure';
    const out = [];
    if (!time) out.push(item('up', number ? 'Smallest first' : 'A to Z', () => sortBy(id, 'asc'), on('asc')), item('down', number ? 'Largest first' : 'Z to A', () => sortBy(id, 'desc'), on('desc')));
    else out.push(item('down', 'Newest first', () => sortBy(id, null), !core.asked.sort), item('up', 'Oldest first', () => sortBy(id, 'asc'), on('asc')));
    if (state && !time) out.push(item('clock', 'In order of time', () => sortBy(id, null)));
    out.push(item('columns', isPinned(id) ? 'Do not keep at the left' : 'Keep at the left', () => pin(id, !isPinned(id))));
    out.push(item('left', 'Move left', () => move(id, -1), g().shown[0] === id), item('right', 'Move right', () => move(id, 1), g().shown[g().shown.length - 1] === id));
    if (!time && !core.isArray()) out.push(item('sliders', 'Split the histogram', () => core.ask({ split: columns.sortName(column) })));
    out.push(item('close', 'Hide', () => choose(g().shown.filter((one) => one !== id)), g().shown.length < 2));
    return out;
  }

  function onMenu(event) {
    const cell = event.target.closest && event.target.closest('.ag-header-cell[col-id]');
    if (!cell || !core.session) return;
    event.preventDefault();
    const id = cell.getAttribute('col-id');
    const box = ig.el('div', { class: 'menu', popover: 'auto', role: 'group', 'aria-label': 'Column ' + cell.textContent.trim(), style: { inset: 'auto' } }, items(id));
    ig.$('session-root').append(box);
    box.addEventListener('toggle', (e) => { if (e.newState === 'closed') box.remove(); });
    box.addEventListener('click', (e) => { if (e.target.closest('button')) box.hidePopover(); });
    box.showPopover();
    const at = cell.getBoundingClientRect();
    box.style.top = at.bottom + 2 + 'px';
    box.style.left = Math.max(8, Math.min(event.clientX > 0 ? event.clientX - 8 : at.left, window.innerWidth - box.offsetWidth - 8)) + 'px';
    box.querySelector('button:not(:disabled)').focus();
  }

  view.arrange = {
    set: set, apply: apply, choose: choose, pin: pin, isPinned: isPinned, move: move, sortBy: sortBy, syncSort: syncSort, sortLabel: sortLabel,
    /* The columns of another address. */
    follow() {
      g().chosen = wanted();
      apply();
      syncSort();
    },
    attach(grid) {
      api = grid;
      for (const name of ['columnResized', 'columnMoved', 'columnPinned']) api.addEventListener(name, remember);
      api.addEventListener('displayedColumnsWidthChanged', fit);
      api.addEventListener('sortChanged', onSort);
      ig.$('session-grid').addEventListener('contextmenu', onMenu);
    },
  };
})();
