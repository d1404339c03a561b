/* What the sessions table says when there is nothing to show or something went wrong: why, and what
   to do next. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});

  function button(label, run, cls) {
    return ig.el('button', { type: 'button', class: cls || 'btn', on: { click: run } }, label);
  }

  function noMatch(query, clear) {
    const what = query.q ? '“' + query.q + '”' : 'these filters';
    const also = query.q && (query.state || query.gadget || query.namespace || query.environment);
    return [ig.el('h2', {}, 'No session matches ' + what + (also ? ' and the filters' : '')),
      ig.el('p', {}, 'The search looks at gadget, name, namespace, pod, container, node, ' +
        'environment and id of every session, running or ended.'),
      button('Clear search and filters', clear)];
  }

  function nothingYet() {
    return [ig.el('span', { class: 'ico' }, ig.icon('list', true)), ig.el('h2', {}, 'No sessions yet'),
      ig.el('p', {}, 'A session collects one gadget’s events until it is stopped, whether or ' +
        'not anybody looks. It stays in this table until it is deleted.'),
      ig.el('a', { class: 'btn primary', href: '/gadgets' }, 'Choose a gadget')];
  }

  const problem = (text, retry) => [ig.icon('warn'), ig.el('span', { class: 'sp' }, text),
    button('Try again', () => retry(), 'btn s')];

  /* One line per session that could not be stopped or deleted. */
  function failures(verb, list, dismiss) {
    const items = list.map((f) =>
      ig.el('li', {}, ig.sessionsRow.describe(f.session) + ': ' + f.reason));
    const many = list.length === 1 ? '1 session' : ig.fmt.count(list.length) + ' sessions';
    return [ig.icon('warn'),
      ig.el('div', { class: 'sp' }, ig.el('b', {}, many + ' could not be ' + verb),
        ig.el('ul', {}, items)),
      button('Dismiss', dismiss, 'btn s')];
  }

  ig.sessionsNotes = { noMatch, nothingYet, problem, failures };
})();
