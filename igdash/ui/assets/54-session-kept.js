/* Filters used before and filters kept under a name. Both live in this browser; saved ones can be
   taken elsewhere as a file. What a file says is checked: it comes from outside. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const el = ig.el;
  const RECENT = 'igdash.filters.recent', SAVED = 'igdash.filters.saved', MOST = 50, SHOWN = 12, LONGEST = 4096;

  function read(key) {
    try {
      const found = JSON.parse(localStorage.getItem(key) || '[]');
      return Array.isArray(found) ? found : [];
    } catch { return []; }
  }
  function write(key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
      return true;
    } catch { return false; }
  }
  const isText = (value) => typeof value === 'string' && value.trim() !== '' && value.length <= LONGEST;
  const recent = () => read(RECENT).filter(isText);
  const saved = () => read(SAVED).filter((one) => one && isText(one.name) && isText(one.filter)).map(({ name, filter }) => ({ name: name.slice(0, 100), filter: filter }));

  view.rememberFilter = (text) => write(RECENT, [text, ...recent().filter((one) => one !== text)].slice(0, MOST));

  function keep(name, filter) {
    const list = [...saved().filter((one) => one.name !== name), { name: name, filter: filter }].sort((a, b) => a.name.localeCompare(b.name));
    if (write(SAVED, list)) ig.toast('Saved as “' + name + '” in this browser.', 'ok');
    else ig.toast('This browser keeps nothing for igdash.', 'warn');
  }

  /* ---------------------------------------------------------------- to a file and back */

  function exportSaved() {
    const body = JSON.stringify({ igdash: 'filters', version: 1, filters: saved() }, null, 2) + '\n';
    const url = URL.createObjectURL(new Blob([body], { type: 'application/json' }));
    const link = el('a', { href: url, download: 'igdash-filters.json' });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
  function importSaved() {
    const pick = el('input', { type: 'file', accept: 'application/json,.json', class: 'sr-only', 'aria-hidden': 'true', tabindex: '-1', on: { change: async () => {
      const file = pick.files[0];
      pick.remove();
      if (file) take(await file.text());
    } } });
    document.body.append(pick);
    pick.click();
  }
  function take(text) {
    let found = null;
    try { found = JSON.parse(text); } catch { /* said below */ }
    const list = found && found.igdash === 'filters' && Array.isArray(found.filters) ? found.filters.filter((one) => one && isText(one.name) && isText(one.filter)) : [];
    if (list.length === 0) {
      ig.toast('This file holds no filters of igdash.', 'warn');
      return;
    }
    const names = new Set(list.map((one) => one.name.slice(0, 100)));
    write(SAVED, [...saved().filter((one) => !names.has(one.name)), ...list.map((one) => ({ name: one.name.slice(0, 100), filter: one.filter }))].sort((a, b) => a.name.localeCompare(b.name)));
    ig.toast(list.length + (list.length === 1 ? ' filter' : ' filters') + ' taken in.', 'ok');
  }
  view.takeFilters = take;

  /* ---------------------------------------------------------------- the menu */

  function entry(title, filter, forget) {
    const row = el('div', { class: 'f-kept-row' },
      el('button', { class: 'f-kept', type: 'button', title: filter, on: { click: () => view.filter.set(filter) } }, title ? el('span', {}, title) : null, el('span', { class: ['mono ell', title && 'faint'] }, filter)));
    if (forget) {
      row.append(el('button', { class: 'btn ghost s icon', type: 'button', 'aria-label': 'Delete ' + title, title: 'Delete', on: { click: (event) => {
        event.stopPropagation();
        forget();
        row.remove();
      } } }, ig.icon('trash')));
    }
    return row;
  }

  function saver() {
    const now = view.filter.text();
    if (!now) return null;
    const name = el('input', { class: 'input', placeholder: 'Name', 'aria-label': 'Name for the filter', maxlength: '100', required: true });
    return el('form', { class: 'f-save', on: { click: (e) => e.stopPropagation(), submit: (event) => {
      event.preventDefault();
      if (name.value.trim() === '') return;
      keep(name.value.trim(), now);
      event.target.closest('[popover]').hidePopover();
    } } }, name, el('button', { class: 'btn primary', type: 'submit' }, 'Save this filter'));
  }

  view.keptFilters = function () {
    const mine = saved(), last = recent().filter((one) => one !== view.filter.text()).slice(0, SHOWN);
    const parts = [saver()];
    if (mine.length > 0) {
      parts.push(el('h4', {}, 'Saved'), ...mine.map((one) => entry(one.name, one.filter, () => write(SAVED, saved().filter((other) => other.name !== one.name)))));
    }
    if (last.length > 0) parts.push(el('h4', {}, 'Recent'), ...last.map((one) => entry('', one, null)));
    if (mine.length === 0 && last.length === 0) parts.push(el('p', { class: 'f-note' }, 'Filters you use are remembered here, and those you give a name stay. Click any value to begin.'));
    parts.push(el('div', { class: 'f-kept-foot' },
      el('button', { class: 'btn s ghost', type: 'button', disabled: mine.length === 0, on: { click: exportSaved } }, ig.icon('download'), 'Export saved'),
      el('button', { class: 'btn s ghost', type: 'button', on: { click: importSaved } }, ig.icon('open'), 'Import')));
    return [el('div', { class: 'f-kept-list' }, parts.filter(Boolean))];
  };
})();
