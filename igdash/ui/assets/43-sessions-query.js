/* What the sessions table asks for: the query of the address bar, the toolbar that edits it, and
   the calls to the API. Sorting, searching and counting are the server's work. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const PAGE = 100;
  const MOST = 1000; // the API's largest page
  const GROUPS = [
    { key: '', label: 'All', states: [] },
    { key: 'running', label: 'Running', states: ['starting', 'running', 'stopping'] },
    { key: 'ended', label: 'Ended', states: ['stopped', 'interrupted'] },
    { key: 'failed', label: 'Failed', states: ['failed'] },
  ];
  const FIELDS = ['q', 'state', 'gadget', 'namespace', 'environment', 'sort'];
  const DEFAULT_SORT = '-started';
  const SEARCH_DELAY = 180;

  function fromParams(params) {
    const query = {};
    for (const field of FIELDS) query[field] = params.get(field) || '';
    if (!GROUPS.some((group) => group.key === query.state)) query.state = '';
    const known = ig.sessionsRow.COLUMNS.map((c) => c.sort).filter(Boolean);
    if (!known.includes(query.sort.replace(/^-/, ''))) query.sort = DEFAULT_SORT;
    return query;
  }

  function toUrl(query) {
    for (const field of FIELDS) {
      const plain = field === 'sort' && query.sort === DEFAULT_SORT;
      ig.setParam(field, plain ? null : query[field] || null);
    }
  }

  const filtered = (query) =>
    Boolean(query.q || query.state || query.gadget || query.namespace || query.environment);

  function search(query, group, more) {
    const params = new URLSearchParams();
    const states = GROUPS.find((g) => g.key === group).states;
    states.forEach((state) => params.append('state', state));
    for (const field of ['q', 'gadget', 'namespace', 'environment']) {
      if (query[field]) params.set(field, query[field]);
    }
    for (const [key, value] of Object.entries(more)) params.set(key, value);
    return '/api/sessions?' + params;
  }

  /* One page from `offset`, at most `limit` (the API's bound) sessions, in the query's order. */
  function page(query, offset, limit, signal) {
    const more = { sort: query.sort, offset: offset, limit: Math.min(limit, MOST), spark: 40 };
    return ig.api(search(query, query.state, more), { signal: signal });
  }

  /* The first `wanted` sessions, in as many pages as that takes. */
  async function upTo(query, wanted, signal) {
    const answer = await page(query, 0, wanted, signal);
    while (answer.sessions.length < Math.min(wanted, answer.total)) {
      const next = await page(query, answer.sessions.length, wanted - answer.sessions.length, signal);
      if (!next.sessions.length) break;
      answer.sessions.push(...next.sessions);
      answer.total = next.total;
    }
    return answer;
  }

  /* How many sessions each state chip would show under the same search. */
  async function counts(query, signal) {
    const answers = await Promise.all(
      GROUPS.map((g) => ig.api(search(query, g.key, { limit: 1 }), { signal: signal })),
    );
    return Object.fromEntries(GROUPS.map((g, i) => [g.key, Number(answers[i].total)]));
  }

  /* ---------------------------------------------------------------- toolbar */

  function select(label, all) {
    const box = ig.el('select', { 'aria-label': label, class: 'form-select sess-select' },
      ig.el('option', { value: '' }, all));
    return box;
  }

  function fill(box, values, current) {
    const wanted = [...values];
    if (current && !wanted.some(([value]) => value === current)) wanted.push([current, current]);
    const key = JSON.stringify(wanted);
    if (box.dataset.key !== key) {
      box.dataset.key = key;
      const options = wanted.map(([value, label]) => ig.el('option', { value: value }, label));
      box.replaceChildren(box.options[0], ...options);
    }
    box.value = current;
    box.classList.toggle('set', Boolean(current));
  }

  function sortOptions(column) {
    const down = column.num || column.key === 'started';
    const option = (value, text) => ig.el('option', { value: value }, 'Sort: ' + column.label + text);
    const ascending = option(column.sort, ' ↑');
    const descending = option('-' + column.sort, ' ↓');
    return down ? [descending, ascending] : [ascending, descending];
  }

  function chip(group) {
    const count = ig.el('span', { class: 'n' });
    const button = ig.el('button', { type: 'button', class: 'sess-chip' }, group.label, count);
    button.dataset.group = group.key;
    return { button: button, count: count, key: group.key };
  }

  /* Build the toolbar. `changed(patch)` is called with what the user altered. */
  function toolbar(changed) {
    const input = ig.el('input', {
      type: 'search', class: 'sess-q', placeholder: 'Search gadget, namespace, pod, node, name …',
      'aria-label': 'Search sessions', autocomplete: 'off', spellcheck: 'false',
    });
    const chips = GROUPS.map(chip);
    const gadget = select('Gadget', 'Gadget: all');
    const namespace = select('Namespace', 'Namespace: all');
    const environment = select('Environment', 'Environment: all');
    const sort = ig.el('select', { class: 'form-select sess-select sess-sort', 'aria-label': 'Sort by' },
      ig.sessionsRow.COLUMNS.filter((c) => c.sort).flatMap(sortOptions));
    const bar = ig.el('div', { class: 'bar sess-bar' },
      ig.el('label', { class: 'q' }, ig.icon('search'), input, ig.el('kbd', {}, '/')),
      ig.el('div', { class: 'sess-chips', role: 'group', 'aria-label': 'State' },
        ...chips.map((c) => c.button)),
      gadget, namespace, environment, sort);

    let timer = 0;
    const flush = () => {
      clearTimeout(timer);
      timer = 0;
      changed({ q: input.value.trim() });
    };
    input.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(flush, SEARCH_DELAY);
    });
    input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') flush();
      if (event.key === 'Escape' && input.value) {
        event.stopPropagation();
        input.value = '';
        flush();
      }
    });
    chips.forEach((c) => c.button.addEventListener('click', () => changed({ state: c.key })));
    gadget.addEventListener('change', () => changed({ gadget: gadget.value }));
    sort.addEventListener('change', () => changed({ sort: sort.value }));
    namespace.addEventListener('change', () => changed({ namespace: namespace.value }));
    environment.addEventListener('change', () => changed({ environment: environment.value }));

    return {
      node: bar,
      input: input,
      show(query) {
        if (document.activeElement !== input || !timer) input.value = query.q;
        sort.value = query.sort;
        chips.forEach((c) => c.button.setAttribute('aria-pressed', String(c.key === query.state)));
      },
      counts(numbers) {
        chips.forEach((c) => (c.count.textContent = ig.fmt.count(numbers[c.key])));
      },
      options(gadgets, namespaces, environments, query) {
        fill(gadget, gadgets, query.gadget);
        fill(namespace, namespaces, query.namespace);
        fill(environment, environments, query.environment);
        environment.hidden = environments.length < 2 && !query.environment;
      },
    };
  }

  ig.sessionsQuery = { PAGE, MOST, fromParams, toUrl, filtered, page, upTo, counts, toolbar };
})();
