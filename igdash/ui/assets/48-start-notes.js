/* What stands in the form's place while it loads, when it cannot, and for a gadget nobody knows. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});

  function loading() {
    const bars = [40, 100, 100, 70, 100].map((width) => {
      const bar = ig.el('div', { class: 'sk' });
      bar.style.width = width + '%';
      return bar;
    });
    return ig.el('div', { class: 'start-wait', 'aria-label': 'Loading', role: 'status' }, ...bars);
  }

  function failed(error, again) {
    const retry = ig.el('button', { type: 'button', class: 'btn' }, 'Try again');
    retry.addEventListener('click', again);
    return ig.el('div', { class: 'empty' }, ig.el('h1', {}, 'The form could not be loaded'),
      ig.el('p', {}, error.message), retry);
  }

  /* The page carries the catalogue's names, so nobody need be asked. */
  function notFound(name) {
    const near = nearest(name, ig.gadgets()).map((gadget) =>
      ig.el('a', { class: 'btn', href: '/start/' + gadget.name }, ig.sessionsRow.icon(gadget.name),
        gadget.title));
    return ig.el('div', { class: 'empty' }, ig.el('h1', {}, 'There is no gadget “' + name + '”'),
      ig.el('p', {}, near.length ? 'Did you mean one of these?'
        : 'No gadget of the catalogue has a name like it.'),
      ig.el('div', { class: 'start-near' }, ...near),
      ig.el('a', { class: 'btn ghost', href: '/gadgets' }, 'All gadgets'));
  }

  /* The gadgets whose names share most pairs of letters with what was asked for. */
  function nearest(name, gadgets) {
    const pairs = (text) => new Set([...text].slice(1).map((c, i) => text[i] + c));
    const wanted = pairs(name.toLowerCase());
    const score = (gadget) => {
      const own = pairs(gadget.name);
      const common = [...own].filter((pair) => wanted.has(pair)).length;
      return (2 * common) / (own.size + wanted.size || 1);
    };
    return gadgets.map((gadget) => [score(gadget), gadget])
      .filter(([points]) => points > 0.45)
      .sort((a, b) => b[0] - a[0]).slice(0, 3).map(([, gadget]) => gadget);
  }

  ig.startNotes = { loading, failed, notFound };
})();
