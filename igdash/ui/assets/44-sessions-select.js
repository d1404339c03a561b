/* Which sessions are selected, and the bar that acts on them. Only sessions on the page can be
   selected: what the search no longer shows is never stopped or deleted by surprise. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});

  /* `table` gives {rows() in order, act(name, sessions)}. */
  function make(table) {
    const chosen = new Set();
    let anchor = null; // where a shift-click's range begins
    const words = ig.el('b', {});
    const stop = ig.el('button', { type: 'button', class: 'btn danger' }, 'Stop');
    const remove = ig.el('button', { type: 'button', class: 'btn danger' }, 'Delete');
    const clear = ig.el('button', { type: 'button', class: 'btn ghost' }, 'Clear');
    const file = ig.el('select', { class: 'form-select sess-file', 'aria-label': 'Export as' }, ig.el('option', { value: '' }, 'Export …'),
      ig.exports.formats.filter((f) => !f.query.includes('plain')).map((f) => ig.el('option', { value: f.query }, f.name)));
    const bar = ig.el('div', { class: 'sess-selbar', role: 'region', 'aria-label': 'Selected sessions',
      hidden: true }, words, ig.el('span', { class: 'sp' }), file, stop, remove, clear);
    const all = ig.el('input', { type: 'checkbox', 'aria-label': 'Select all shown' });

    const picked = () => table.rows().filter((row) => chosen.has(row.id)).map((row) => row.session);

    function show() {
      const rows = table.rows();
      const sessions = picked();
      const live = sessions.filter((s) => s.state === 'running' || s.state === 'starting').length;
      bar.hidden = sessions.length === 0;
      words.textContent = ig.fmt.count(sessions.length) + ' selected';
      stop.textContent = live === sessions.length ? 'Stop' : 'Stop ' + live + ' running';
      stop.hidden = live === 0;
      all.checked = rows.length > 0 && sessions.length === rows.length;
      all.indeterminate = sessions.length > 0 && !all.checked;
      for (const row of rows) {
        const on = chosen.has(row.id);
        row.parts.check.checked = on;
        row.tr.classList.toggle('sel', on);
      }
    }

    function set(id, on) {
      if (on) chosen.add(id);
      else chosen.delete(id);
    }

    /* Toggle one row, or with `range` everything between it and the last one toggled. */
    function toggle(id, on, range) {
      const ids = table.rows().map((row) => row.id);
      const from = range && anchor !== null ? ids.indexOf(anchor) : -1;
      const to = ids.indexOf(id);
      if (from >= 0) {
        ids.slice(Math.min(from, to), Math.max(from, to) + 1).forEach((each) => set(each, on));
      } else {
        set(id, on);
      }
      anchor = id;
      show();
    }

    function drop() {
      chosen.clear();
      anchor = null;
      show();
    }

    all.addEventListener('change', () => {
      table.rows().forEach((row) => set(row.id, all.checked));
      show();
    });
    stop.addEventListener('click', () => table.act('stop', picked()));
    remove.addEventListener('click', () => table.act('delete', picked()));
    clear.addEventListener('click', drop);
    file.addEventListener('change', () => {
      const query = file.value;
      file.value = '';
      ig.exports.each(picked(), query);
    });

    return {
      bar: bar,
      all: all,
      toggle: toggle,
      clear: drop,
      has: (id) => chosen.has(id),
      size: () => chosen.size,
      /* Rows came or went: forget what is no longer on the page. */
      sync() {
        const ids = new Set(table.rows().map((row) => row.id));
        [...chosen].filter((id) => !ids.has(id)).forEach((id) => chosen.delete(id));
        show();
      },
    };
  }

  ig.sessionsSelect = { make };
})();
