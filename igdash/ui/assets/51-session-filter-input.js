/* The field in which filters are typed: completion from the server (the ARIA combobox pattern), and
   an error underlined where it is, with what may stand there instead. It knows nothing of chips. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;
  const ASK_MS = 120, CHECK_MS = 350, SHOWN = 50;

  /* Make it: `onEnter(text)`, `onEscape()`, `onEmptyBack()` (Backspace in an empty field). */
  view.filterInput = function ({ onEnter, onEscape, onEmptyBack }) {
    const s = { items: [], at: -1, text: '', from: 0, to: 0, asked: 0, timer: 0, checking: 0, error: null };
    const mirror = el('div', { class: 'f-mirror', 'aria-hidden': 'true' });
    const input = el('input', {
      id: 'session-filter', class: 'f-input', type: 'text', role: 'combobox', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false',
      'aria-label': 'Filter', 'aria-autocomplete': 'list', 'aria-controls': 'session-filter-list', 'aria-expanded': 'false', 'aria-describedby': 'session-filter-error',
      on: { input: onInput, keydown: onKey, focus: ask, click: ask, blur: () => { close(); }, scroll: slide, select: slide },
    });
    const list = el('ul', { id: 'session-filter-list', role: 'listbox', 'aria-label': 'What may come next', hidden: true });
    const message = el('div', { id: 'session-filter-error', class: 'f-error', role: 'alert', hidden: true });
    const box = el('div', { class: 'f-pop', hidden: true }, message, list);
    const root = el('div', { class: 'f-field' }, mirror, input);

    let aborter = new AbortController();

    list.addEventListener('pointerdown', (event) => {
      event.preventDefault(); // the focus stays in the field
      const option = event.target.closest('[role=option]');
      if (option && s.text === input.value) take(s.items[Number(option.dataset.at)]);
    });
    message.addEventListener('pointerdown', (event) => event.preventDefault());

    /* ------------------------------------------------------------ completing */

    function onInput() {
      fail(null);
      s.at = -1;
      ask();
      clearTimeout(s.checking);
      s.checking = setTimeout(() => core.quiet(look()), CHECK_MS);
    }

    function ask() {
      clearTimeout(s.timer);
      s.timer = setTimeout(() => core.quiet(complete()), ASK_MS);
      slide();
    }

    async function complete() {
      const mine = ++s.asked;
      const text = input.value, cursor = input.selectionStart;
      if (core.id === null || document.activeElement !== input) return;
      aborter.abort();
      aborter = new AbortController();
      const answer = await core.get('/complete?' + new URLSearchParams({ text: text, cursor: cursor }), aborter.signal);
      if (mine !== s.asked || document.activeElement !== input) return;
      s.items = answer.items.slice(0, SHOWN);
      s.text = text;
      s.from = answer.start;
      s.to = answer.end;
      const only = s.items.length === 1 && s.items[0].insert.trim() === text.slice(s.from, s.to);
      if (only) s.items = [];
      paintList();
    }

    function paintList() {
      s.at = -1;
      list.replaceChildren(...s.items.map((item, i) => el('li', { role: 'option', id: 'session-filter-o' + i, 'aria-selected': 'false', data: { at: i, kind: item.kind } },
        el('span', { class: 'f-insert' }, item.insert.trim()), item.detail ? el('span', { class: 'f-detail' }, item.detail) : null)));
      list.hidden = s.items.length === 0;
      input.removeAttribute('aria-activedescendant');
      show();
    }

    function show() {
      const open = !list.hidden || !message.hidden;
      box.hidden = !open;
      input.setAttribute('aria-expanded', String(!list.hidden));
      if (!open) return;
      const around = root.parentElement;
      box.style.top = around.offsetTop + around.offsetHeight + 4 + 'px';
      box.style.setProperty('--f-left', Math.max(0, root.offsetLeft - 8) + 'px');
    }
    function close() {
      s.asked += 1;
      clearTimeout(s.timer);
      list.hidden = true;
      s.at = -1;
      show();
    }

    function point(step) {
      const count = s.items.length;
      s.at = s.at < 0 ? (step > 0 ? 0 : count - 1) : (s.at + step + count) % count;
      [...list.children].forEach((node, i) => node.setAttribute('aria-selected', String(i === s.at)));
      list.children[s.at].scrollIntoView({ block: 'nearest' });
      input.setAttribute('aria-activedescendant', list.children[s.at].id);
    }

    function put(text, from, to) {
      const rest = input.value.slice(to);
      const glue = /\s$/.test(text) ? rest.replace(/^\s+/, '') : rest;
      input.value = input.value.slice(0, from) + text + glue;
      input.setSelectionRange(from + text.length, from + text.length);
      input.focus();
      onInput();
    }
    function take(item) {
      put(item.insert, s.from, s.to);
      close();
      ask();
    }

    /* ------------------------------------------------------------ keys */

    function onKey(event) {
      const open = !list.hidden;
      if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
      if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && (open || event.key === 'ArrowDown')) {
        if (open && s.text === input.value) point(event.key === 'ArrowDown' ? 1 : -1);
        else ask();
      } else if (event.key === 'Enter') {
        if (open && s.at >= 0 && s.text === input.value) take(s.items[s.at]);
        else core.quiet(enter());
      } else if (event.key === 'Tab' && open && !event.shiftKey && input.value !== '') core.quiet(tab());
      else if (event.key === 'Escape') {
        if (open) close();
        else onEscape();
      } else if (event.key === 'Backspace' && input.value === '') {
        if (!onEmptyBack()) return;
      } else return;
      event.preventDefault();
      event.stopPropagation();
    }

    /* The list may still be the one of a character ago. */
    async function tab() {
      if (s.text !== input.value) await complete();
      if (s.text === input.value && s.items.length > 0) take(s.items[Math.max(0, s.at)]);
    }

    async function enter() {
      const text = input.value.trim();
      close();
      if (text !== '' && !(await check(text, true))) return;
      if (text !== input.value.trim()) return; // typed on meanwhile
      fail(null);
      onEnter(text);
    }

    /* ------------------------------------------------------------ errors */

    /* Ask the server to read the text; a refusal has its position. A server that is away must not keep
       anybody from asking: whoever needs the events will say so. */
    async function check(text, whole) {
      let refused = null;
      try {
        refused = (await core.get('/filter?' + new URLSearchParams({ text: text, refused: 'true' }))).error;
      } catch (error) {
        if (!error.problem) throw error;
        if (error.problem.status === 400) refused = error.problem; // not even a filter: too long
      }
      if (!refused) return true;
      const problem = { position: 0, end: text.length, ...refused };
      const lead = input.value.length - input.value.trimStart().length;
      const found = { message: problem.detail, position: problem.position + lead, end: problem.end + lead, suggestions: problem.suggestions || [] };
      const finished = found.end < Math.min(input.selectionStart, input.value.trimEnd().length);
      if (input.value.trim() === text && (whole || finished)) fail(found);
      return false;
    }
    /* While typing only what lies behind the cursor is called wrong: the rest is not finished. */
    async function look() {
      const text = input.value.trim();
      if (text !== '' && core.id !== null) await check(text, false);
    }

    function fail(error) {
      s.error = error;
      message.hidden = error === null;
      root.classList.toggle('f-wrong', error !== null);
      if (error === null) input.removeAttribute('aria-invalid');
      else input.setAttribute('aria-invalid', 'true');
      message.replaceChildren();
      if (error) {
        message.append(ig.icon('warn'), el('span', {}, lead(error.message)), ...error.suggestions.filter(Boolean).slice(0, 4).map((text) => el('button', {
          class: 'btn s', type: 'button', title: 'Put this in its place', on: { click: () => { put(text, error.position, error.end); } },
        }, text)));
      }
      slide();
      show();
    }
    const lead = (text) => text.charAt(0).toUpperCase() + text.slice(1);

    /* The underline is in a copy of the text behind the field. */
    function slide() {
      const error = s.error, text = input.value;
      if (!error) {
        mirror.replaceChildren();
        return;
      }
      const end = Math.max(error.end, error.position + 1);
      mirror.replaceChildren(text.slice(0, error.position), el('u', {}, text.slice(error.position, end).padEnd(1, '\u00a0')), text.slice(end));
      requestAnimationFrame(() => { mirror.scrollLeft = input.scrollLeft; });
    }

    return {
      root: root, box: box, input: input, check: check, fail: fail, close: close,
      set(text) {
        input.value = text;
        fail(null);
        close();
      },
      focus(all) {
        input.focus();
        if (all) input.select();
        else input.setSelectionRange(input.value.length, input.value.length);
      },
    };
  };
})();
