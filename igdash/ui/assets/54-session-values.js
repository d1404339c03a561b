/* From any value to a filter: a menu on the cells of the grid (right click, Alt-click or a long
   press), two buttons on the values of an open event, and the Share menu that turns what is asked
   into a link or a command. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const text = view.text;
  const words = view.words;
  const el = ig.el;
  const AROUND_MS = 5000, LIMIT = 1000;

  const isLeaf = (value) => value !== undefined && value !== null && text.isLeaf(value) && !Array.isArray(value);
  const short = (id) => words.short(id, view.fieldNames());
  /* A moment `ms` later, with the nine digits of the original. */
  const shift = (moment, ms) => {
    const fraction = /\.(\d+)/.exec(moment);
    const digits = (fraction ? fraction[1] : '').padEnd(9, '0').slice(0, 9);
    const whole = Date.parse(moment.replace(/\.\d+/, '')) + ms;
    return new Date(whole).toISOString().replace(/\.\d+Z$/, '.' + digits + 'Z');
  };

  /* ---------------------------------------------------------------- what a value offers */

  /* [[label, what it does, icon]] for one value of one event. */
  function choices(id, row) {
    if (id === '@time') return times(row.ts);
    const value = id === '@node' ? row.node || text.at(row.data, ['k8s', 'node']) : find(row.data, id);
    if (value === undefined || value === null) return [['Only events without it', () => view.filter.add(words.not('exists ' + words.name(short(id)))), 'minus']];
    if (isLeaf(value)) return leaf(short(id), id, value);
    if (Array.isArray(value)) return value.filter(isLeaf).slice(0, 8).flatMap((one) => leaf(short(id), id, one).slice(0, 2));
    return endpoint(id, value);
  }
  /* By its dotted name; a name that itself has dots in it is looked up, too. */
  function find(data, id) {
    const value = text.at(data, id.split('.'));
    if (value !== undefined) return value;
    const leafOf = text.leaves(data).find(([name]) => name === id);
    return leafOf ? leafOf[1] : undefined;
  }

  function leaf(name, id, value) {
    const is = words.is(name, value);
    const has = view.filter.has(is);
    const found = [
      [has ? 'Take out of the filter' : is, () => view.filter.value(name, value, false), has ? 'close' : 'plus'],
      [words.isNot(name, value), () => view.filter.value(name, value, true), 'minus'],
    ];
    if (typeof value === 'string' && value !== '') found.push(['Copy value', () => view.copy(value, name), 'copy']);
    else found.push(['Copy value', () => view.copy(String(value), name), 'copy']);
    found.push(['Values of ' + name, () => view.fields.open(id), 'list']);
    return found;
  }

  function endpoint(id, value) {
    const whole = words.endpoint(id, value);
    const found = [[text.endpoint(value), () => view.filter.add(whole), 'plus'], ['not ' + text.endpoint(value), () => view.filter.add(words.not(whole.join(' and '))), 'minus']];
    for (const [name, part] of [['addr', value.addr], ['port', value.port], ['k8s.name', value.k8s && value.k8s.name]]) {
      if (isLeaf(part) && part !== '') found.push([words.is(id + '.' + name, part), () => view.filter.value(id + '.' + name, part, false), 'plus']);
    }
    found.push(['Copy', () => view.copy(text.endpoint(value), id), 'copy']);
    return found;
  }

  function times(moment) {
    const clock = ig.fmt.time(moment);
    return [
      ['From ' + clock + ' on', () => core.ask({ from: moment }), 'clock'],
      ['Until ' + clock, () => core.ask({ to: shift(moment, 1) }), 'clock'],
      ['10 s around it', () => core.ask({ from: shift(moment, -AROUND_MS), to: shift(moment, AROUND_MS) }), 'clock'],
      ['Copy time', () => view.copy(moment, 'Time'), 'copy'],
    ];
  }

  /* ---------------------------------------------------------------- the menu on a cell */

  function open(x, y, title, list, back) {
    const box = el('div', { class: 'menu f-menu', popover: 'auto', role: 'group', 'aria-label': title }, list.map(([label, run, icon]) =>
      el('button', { type: 'button', on: { click: () => { box.hidePopover(); run(); } } }, ig.icon(icon), el('span', { class: 'ell' }, label))));
    ig.$('session-root').append(box);
    box.addEventListener('toggle', (event) => {
      if (event.newState !== 'closed') return;
      box.remove();
      if (back && document.activeElement === document.body) back.focus();
    });
    box.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const all = [...box.children];
      all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
      event.preventDefault();
      event.stopPropagation();
    });
    box.showPopover();
    box.style.inset = 'auto';
    box.style.left = Math.max(8, Math.min(x, window.innerWidth - box.offsetWidth - 8)) + 'px';
    box.style.top = Math.max(8, Math.min(y, window.innerHeight - box.offsetHeight - 8)) + 'px';
    box.firstElementChild.focus();
  }

  function onCell(event) {
    const cell = event.target.closest && event.target.closest('.ag-cell');
    const line = cell && cell.closest('.ag-row');
    if (!line || cell.getAttribute('col-id') === null) return false;
    const row = view.grid.at(Number(line.getAttribute('row-index')));
    if (!row) return false;
    const id = cell.getAttribute('col-id');
    open(event.clientX, event.clientY, 'Filter by ' + id.replace('@', ''), choices(id, row), null);
    return true;
  }

  /* ---------------------------------------------------------------- the values of an open event */

  /* Two buttons for the drawer's line of the field `name`; null when it cannot be asked for. */
  view.valueTools = function (name, row) {
    const id = name === 'node' ? '@node' : name;
    if (name === 'time') {
      return [tool('clock', '10 s around it', () => core.ask({ from: shift(row.ts, -AROUND_MS), to: shift(row.ts, AROUND_MS) }))];
    }
    const value = name === 'source' ? row.source : name === 'node' ? row.node : find(row.data, name);
    if (value === undefined || value === null) return [];
    if (!isLeaf(value)) {
      if (value.addr === undefined) return [];
      const whole = words.endpoint(name, value);
      return [tool('plus', 'Filter to ' + name, () => view.filter.add(whole)), tool('minus', 'Without this ' + name, () => view.filter.add(words.not(whole.join(' and '))))];
    }
    return [tool('plus', 'Filter to this ' + name, () => view.filter.value(short(id), value, false)), tool('minus', 'Without this ' + name, () => view.filter.value(short(id), value, true))];
  };
  const tool = (icon, label, run) => el('button', { class: 's-copy', type: 'button', 'aria-label': label, title: label, on: { click: run } }, ig.icon(icon));

  /* What belongs together with an event: its connection, its process. */
  view.eventTools = function (row) {
    const data = row.data || {};
    const found = [];
    const { src, dst } = data;
    if (src && dst && isLeaf(src.addr) && isLeaf(dst.addr)) {
      const ends = ['src', 'dst'].flatMap((end) => [words.is(end + '.addr', data[end].addr), ...(data[end].port === undefined ? [] : [words.is(end + '.port', data[end].port)])]);
      found.push(button('Same connection', () => view.filter.set(words.join(ends))));
    }
    const pid = text.at(data, ['proc', 'pid']) === undefined ? ['pid'] : ['proc', 'pid'];
    if (isLeaf(text.at(data, pid))) {
      const comm = text.at(data, [...pid.slice(0, -1), 'comm']);
      const names = [...(row.node ? [words.is('node', row.node)] : []), words.is(short(pid.join('.')), text.at(data, pid)), ...(isLeaf(comm) ? [words.is(short([...pid.slice(0, -1), 'comm'].join('.')), comm)] : [])];
      found.push(button('Same process', () => view.filter.set(words.join(names))));
    }
    return found.length > 0 ? el('div', { class: 'f-event-tools' }, found) : null;
  };
  const button = (label, run) => el('button', { class: 'btn s', type: 'button', on: { click: run } }, label);

  /* ---------------------------------------------------------------- sharing */

  const quote = (word) => view.shellLine([word]);
  function link() {
    const url = new URL(location.href);
    for (const name of ['pick']) url.searchParams.delete(name);
    return url.href;
  }
  function command() {
    const { filter, from, to } = core.asked;
    const line = ['igdash', 'events', core.id];
    for (const [name, value] of [['--filter', filter], ['--from', from], ['--to', to]]) if (value) line.push(name, value);
    return view.shellLine(line);
  }
  function curl() {
    const query = core.where({ sort: core.asked.sort, limit: LIMIT });
    return 'curl -sS ' + quote(location.origin + core.url('/events?' + query));
  }
  function shares() {
    const item = (name, what, run) => el('button', { class: 's-format', type: 'button', on: { click: run } }, el('span', {}, name), el('span', { class: 'faint' }, what));
    const found = [
      item('Copy link', 'session, filter, time, order, columns, selected event', () => view.copy(link(), 'Link')),
      item('Copy as igdash command', 'prints the same events in a terminal', () => view.copy(command(), 'Command')),
      item('Copy as curl', 'the same events as JSON over REST', () => view.copy(curl(), 'curl command')),
    ];
    if (core.asked.filter) found.push(item('Copy filter', core.asked.filter.length > 60 ? core.asked.filter.slice(0, 59) + '…' : core.asked.filter, () => view.copy(core.asked.filter, 'Filter')));
    return found;
  }
  view.share = { link: link, command: command, curl: curl };

  ig.ready(() => {
    const grid = document.querySelector('.s-grid'); // the table inside comes later
    grid.addEventListener('contextmenu', (event) => { if (!event.shiftKey && onCell(event)) event.preventDefault(); });
    grid.addEventListener('click', (event) => {
      if (!event.altKey || !onCell(event)) return;
      event.preventDefault();
      event.stopPropagation();
    }, true);
    const share = view.menu(el('button', { class: 'btn', type: 'button', id: 'session-share', hidden: true }, ig.icon('link'), 'Share'), shares);
    ig.$('session-actions').prepend(share);
    core.on('open', () => { share.hidden = true; });
    core.on('session', () => { share.hidden = false; });
  });
})();
