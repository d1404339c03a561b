/* A text field with suggestions (the ARIA combobox pattern, list autocompletion). Free text always
   stays allowed: what a cluster lists is a help, never a limit. In a comma list the last part is
   completed, and a leading ! is kept. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const MOST = 50; // suggestions shown at once
  let made = 0;

  function split(text) {
    const at = text.lastIndexOf(',') + 1;
    const head = text.slice(0, at);
    const tail = text.slice(at).trimStart();
    return tail.startsWith('!') ? { head: head + '!', tail: tail.slice(1) } : { head, tail };
  }

  /* Give `input` suggestions from `values()`; returns the element to place, input and list. */
  function attach(input, values) {
    const id = 'start-list-' + ++made;
    const list = ig.el('ul', { class: 'start-list', role: 'listbox', id: id, hidden: true,
      'aria-label': 'Suggestions' });
    const box = ig.el('div', { class: 'start-combo' }, input, list);
    let active = -1;
    input.setAttribute('role', 'combobox');
    input.setAttribute('aria-autocomplete', 'list');
    input.setAttribute('aria-controls', id);
    input.setAttribute('aria-expanded', 'false');
    input.autocomplete = 'off';

    const isOpen = () => !list.hidden;

    function close() {
      list.hidden = true;
      active = -1;
      input.setAttribute('aria-expanded', 'false');
      input.removeAttribute('aria-activedescendant');
    }

    function open() {
      const { tail } = split(input.value);
      const wanted = tail.toLowerCase();
      const found = values().filter((v) => v.toLowerCase().includes(wanted) && v !== tail);
      if (!found.length) return close();
      list.replaceChildren(...found.slice(0, MOST).map((value, i) =>
        ig.el('li', { role: 'option', id: id + '-' + i, 'aria-selected': 'false' }, value)));
      list.hidden = false;
      active = -1;
      input.setAttribute('aria-expanded', 'true');
      input.removeAttribute('aria-activedescendant');
    }

    function point(at) {
      const options = list.children;
      if (active >= 0) options[active].setAttribute('aria-selected', 'false');
      active = (at + options.length) % options.length;
      options[active].setAttribute('aria-selected', 'true');
      options[active].scrollIntoView({ block: 'nearest' });
      input.setAttribute('aria-activedescendant', options[active].id);
    }

    function take(value) {
      input.value = split(input.value).head + value;
      close();
      input.dispatchEvent(new Event('input', { bubbles: true }));
      close();
    }

    function onKey(event) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        if (!isOpen()) open();
        if (isOpen()) point(event.key === 'ArrowDown' ? active + 1 : Math.max(active, 0) - 1);
      } else if (event.key === 'Enter' && isOpen() && active >= 0) {
        event.preventDefault();
        take(list.children[active].textContent);
      } else if (event.key === 'Escape' && isOpen()) {
        event.stopPropagation();
        close();
      } else if (event.key === 'Tab') {
        close();
      }
    }

    input.addEventListener('input', open);
    input.addEventListener('click', open);
    input.addEventListener('blur', close);
    input.addEventListener('keydown', onKey);
    list.addEventListener('pointerdown', (event) => {
      event.preventDefault(); // keep the focus in the field
      if (event.target.role === 'option') take(event.target.textContent);
    });
    return box;
  }

  ig.startCombobox = { attach };
})();
