/* The start form: one gadget, where and with what to run it. The form belongs to its gadget: what
   was typed survives a look at another view, and the address bar always says the same as the
   form, so that it can be reloaded, shared and filled by "Run again with changes". */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const { isImage, runs, firstEnvironment } = ig.startModel;
  const URL_DELAY = 150;
  const MANY = 30; // advanced parameters that get a search of their own
  const HEALTH = { up: ['dot', 'ready'], down: ['dot err', 'down'],
    unknown: ['dot stop', 'not known'] };

  const drafts = new Map(); // gadget -> values as typed
  let form = null; // the form on the page
  let active = false;
  let entered = 0; // a slower answer for an earlier gadget is ignored

  const root = () => document.getElementById('start-root');

  /* ---------------------------------------------------------------- entering */

  async function enter(route) {
    active = true;
    const turn = ++entered;
    const name = route.id || '';
    const asked = [...route.params].length > 0;
    if (form && form.gadget.name === name && (!asked || form.written === String(route.params))) {
      form.writeUrl();
      form.check.now();
      form.metadata.run();
      ig.environments.refresh();
      return;
    }
    if (form) form.dispose();
    form = null;
    if (!isImage(name) && !ig.gadgets().some((gadget) => gadget.name === name)) {
      root().replaceChildren(ig.startNotes.notFound(name));
      return;
    }
    root().replaceChildren(ig.startNotes.loading());
    try {
      const [gadget, environments] = await Promise.all([
        ig.api('/api/gadgets/' + encodeURIComponent(name)), ig.api('/api/environments')]);
      if (turn !== entered) return;
      form = make(gadget, environments.environments, asked ? route.params : null);
      if (active) focusHeading();
    } catch (error) {
      if (turn !== entered) return;
      root().replaceChildren(ig.startNotes.failed(error, () => enter(route)));
    }
  }

  /* The router wanted to focus the heading, which was not there yet. */
  function focusHeading() {
    const heading = root().querySelector('h1');
    if (!heading || document.activeElement.closest('input, select, textarea, dialog')) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }

  /* Where targets begin, per environment: the server wrote it into the layout. A gadget without
     containers of its own cannot be limited to some. */
  function usualNamespace(gadget, environment) {
    return hasContainers(gadget) ? JSON.parse(root().dataset.usual)[environment] || '' : '';
  }

  const hasContainers = (gadget) =>
    gadget.params.some((p) => [p.name, p.key, p.alias].includes('k8s-namespace'));

  /* ---------------------------------------------------------------- the form */

  function make(gadget, environments, params) {
    const made = { gadget, environments, fields: new Map(), problems: {}, touched: new Set(),
      submitted: false, written: '', sending: false };
    made.first = firstEnvironment(environments, gadget);
    made.environment = () =>
      made.environments.find((e) => e.name === made.fields.get('environment').get()) || {};
    made.usual = () => usualNamespace(gadget, made.fields.get('environment').get());
    made.check = ig.startSide.commands(() => request(made), (problems) => showProblems(made, problems));
    made.side = ig.startSide.running(gadget.name);
    made.writeUrl = () => writeUrl(made);
    made.metadata = ig.startMetadata.follow(gadget.name, {
      environment: () => made.environment().name, active: () => active && form === made,
      told: (answer) => reparameter(made, answer) });
    made.dispose = () => {
      clearTimeout(made.urlTimer);
      made.metadata.end();
      made.side.dispose();
      drafts.set(gadget.name, read(made));
    };
    build(made);
    const draft = params ? null : drafts.get(gadget.name);
    const environment = (params && params.get('environment')) || made.first;
    fill(made, draft || ig.startModel.fromParams(params || new URLSearchParams(), environment,
      usualNamespace(gadget, environment)));
    made.writeUrl();
    made.check.now();
    made.metadata.run();
    return made;
  }

  function section(title, ...children) {
    return ig.el('section', { class: 'start-sec' }, ig.el('h2', {}, title), ...children);
  }

  async function otherImage(made) {
    const environment = made.environment().name || '';
    const reference = await ig.startMetadata.image(environment, isImage(made.gadget.name) ? made.gadget.name : '');
    if (reference) ig.nav('/start/' + encodeURIComponent(reference) + '?' + new URLSearchParams({ environment }));
  }

  function header(made) {
    const gadget = made.gadget;
    return ig.el('div', { class: 'head start-head' },
      ig.el('a', { class: 'btn icon ghost', href: '/gadgets', 'aria-label': 'Back to gadgets',
        title: 'Gadgets' }, ig.icon('arrow-left')),
      ig.sessionsRow.icon(gadget.name), ig.el('div', { class: 'start-title' },
        ig.el('h1', {}, 'Start ' + gadget.title, ig.el('span', { class: 'mono faint' }, gadget.name)),
        ig.el('div', { class: 'muted' }, gadget.description)), ig.el('span', { class: 'sp' }),
      ig.el('button', { type: 'button', class: 'btn', id: 'start-other', on: { click: () => otherImage(made) } }, 'Another image …'));
  }

  function build(made) {
    const changed = (event) => onChange(made, event);
    const left = ig.el('div', { class: 'start-left' }, ...sections(made));
    const right = ig.el('div', { class: 'start-right' },
      made.check.node, made.side.node, ig.startSide.about(made.gadget));
    made.banner = ig.el('div', { class: 'banner err', role: 'alert', hidden: true });
    made.summary = ig.el('div', { class: 'start-sum', 'aria-live': 'polite' });
    made.submit = ig.el('button', { type: 'submit', class: 'btn primary' }, 'Start session');
    const foot = ig.el('div', { class: 'start-foot' }, made.summary, ig.el('span', { class: 'sp' }),
      ig.el('span', { class: 'start-keys' }, ig.el('kbd', {}, 'Ctrl'), ' ', ig.el('kbd', {}, 'Enter')),
      made.submit);
    made.node = ig.el('form', { class: 'start-form', novalidate: true,
      'aria-label': 'Start ' + made.gadget.title },
      header(made), made.banner,
      ig.el('div', { class: 'start-body' }, left, right), foot);
    made.node.addEventListener('submit', (event) => {
      event.preventDefault();
      start(made);
    });
    made.node.addEventListener('input', changed);
    made.node.addEventListener('change', changed);
    root().replaceChildren(made.node);
  }

  function add(made, field) {
    made.fields.set(field.key, field);
    return field.node;
  }

  function sections(made) {
    const fields = ig.startFields;
    const suggest = (what) => () => (made.environment().suggestions || {})[what] || [];
    const text = (key, label, options) => add(made, fields.text(key, label, options));
    const health = ig.el('span', { class: 'start-health' });
    made.health = health;
    made.namespaces = fields.namespaces(suggest('namespace'), () => made.touched.add('scope'));
    const where = section('Where',
      ig.el('div', { class: 'start-grid' },
        add(made, fields.select('environment', 'Environment', environmentChoices(made),
          { notes: [health] })),
        text('name', 'Session name', { placeholder: 'optional', most: 200,
          notes: ['Tells sessions of one gadget apart.'] })),
      ...targets(made, text, suggest));
    const params = made.parameters = parameters(made); // made in the order they are seen in
    const stop = section('Stop by itself',
      ig.el('div', { class: 'start-grid' },
        text('stop_after.seconds', 'After', { mono: true, placeholder: 'never',
          notes: ['A duration: 10m, 90s, 1h30m. Empty: until stopped.'] }),
        text('stop_after.events', 'After events', { mono: true, numeric: true, placeholder: 'never',
          notes: ['A number of events. Empty: until stopped.'] })));
    return [where, params, stop, away(made)];
  }

  /* Only where gadgets can run by themselves. One that is asked for where they cannot stays in sight,
     with what is wrong about it. */
  function away(made) {
    made.away = section('While igdash is away',
      add(made, ig.startFields.toggle('headless',
        'Keep running on the nodes while igdash is away (headless instance)',
        { cls: 'switch start-away', notes: ['Made in the environment, where it also survives a restart of ' +
          'igdash: of what happens meanwhile the last 1,024 events of each node are stored, a loss ' +
          'record tells of more. Stop removes it, or leaves it running if you say so.'] })));
    return made.away;
  }

  function targets(made, text, suggest) {
    const pod = text('target.pod', 'Pod', { mono: true, placeholder: 'any', suggest: suggest('pod') });
    const container = text('target.container', 'Container', { mono: true, placeholder: 'any',
      suggest: suggest('container') });
    const node = text('target.node', 'Node', { mono: true, placeholder: 'any',
      suggest: suggest('node') });
    const selector = text('target.selector', 'Label selector', { mono: true,
      placeholder: 'app=shop' });
    const namespaces = add(made, made.namespaces);
    const whole = ig.el('p', { class: 'start-note' }, ig.icon('info'), made.gadget.title +
      ' looks at whole machines: it cannot be limited to namespaces, pods or containers.');
    const fits = hasContainers(made.gadget);
    whole.hidden = fits;
    for (const each of [namespaces, pod, container, selector]) each.hidden = !fits;
    return [namespaces, whole,
      ig.el('div', { class: 'start-grid four' }, pod, container, node, selector)];
  }

  function parameters(made) {
    const params = made.gadget.params.filter((p) => !p.target);
    const plain = params.filter((p) => !p.advanced);
    const box = section('Parameters', made.metadata.note, ...grids(made, plain));
    made.folded = made.foldedCount = null;
    if (!plain.length) {
      box.append(ig.el('p', { class: 'muted' }, 'This gadget has no parameters of its own.'));
    }
    const folded = params.filter((p) => p.advanced);
    if (folded.length) {
      made.foldedCount = ig.el('span', { class: 'pill' }, String(folded.length));
      made.folded = ig.el('details', { class: 'start-more' },
        ig.el('summary', {}, ig.icon('right'), 'Advanced', made.foldedCount),
        folded.length > MANY ? ig.startFields.finder(made.fields) : null, ...grids(made, folded));
      box.append(made.folded);
    }
    return box;
  }

  /* The environment has parameters of its own: they take the place of the catalogue's, with what was
     typed, under the reader's hands. */
  function reparameter(made, answer) {
    const own = (gadget) => JSON.stringify(gadget.params.filter((p) => !p.target));
    if (!answer.params || own(answer) === own(made.gadget)) return;
    const values = read(made).params;
    const open = made.folded && made.folded.open;
    const focused = document.activeElement.closest('[data-field^="params."]');
    const caret = focused && document.activeElement.selectionStart;
    for (const [key, field] of [...made.fields]) if (field.spec) made.fields.delete(key);
    made.gadget = Object.assign({}, made.gadget, { params: answer.params });
    const before = made.parameters;
    const find = before.querySelector('.start-find');
    const finding = document.activeElement === find;
    made.parameters = parameters(made);
    before.replaceWith(made.parameters);
    fillParameters(made, values);
    if (open && made.folded) made.folded.open = true;
    const again = made.parameters.querySelector('.start-find');
    if (find && again) {
      again.value = find.value;
      again.dispatchEvent(new Event('input'));
      if (finding) again.focus({ preventScroll: true });
    }
    const same = focused && made.fields.get(focused.dataset.field);
    if (same) {
      same.control.focus({ preventScroll: true });
      if (typeof caret === 'number' && same.control.setSelectionRange) same.control.setSelectionRange(caret, caret);
    }
    showChanged(made);
    made.check.now();
  }

  /* Switches first, in rows of their own: they are lower than fields one types into. */
  function grids(made, params) {
    const switches = params.filter((p) => p.type === 'bool' && !(p.one_of || []).length);
    return [switches, params.filter((p) => !switches.includes(p))].filter((list) => list.length)
      .map((list) => ig.el('div', { class: 'start-grid' },
        list.map((spec) => add(made, ig.startFields.param(spec)))));
  }

  function environmentChoices(made) {
    return made.environments.map((e) =>
      [e.name, e.name + ' · ' + e.kind + (runs(e, made.gadget) ? '' : ' · cannot run this gadget')]);
  }

  /* What is known of them comes and goes while the form is looked at. */
  ig.environments.onChange((list) => {
    if (!form) return;
    form.environments = list;
    showHealth(form);
  });

  function showHealth(made) {
    const environment = made.environment();
    const [dot, word] = HEALTH[environment.health] || HEALTH.unknown;
    const nodes = (environment.nodes || []).length;
    const more = [word, environment.version, nodes && nodes + (nodes === 1 ? ' node' : ' nodes')];
    const words = environment.health !== 'up' && environment.reason
      ? word + ': ' + environment.reason : more.filter(Boolean).join(' · ');
    made.health.replaceChildren(ig.el('span', { class: dot }), ig.el('span', {}, words));
    made.health.classList.toggle('down', environment.health === 'down');
    const node = made.fields.get('target.node'); // one machine has nothing to choose from
    node.node.hidden = ['ig', 'ig-daemon'].includes(environment.kind) && node.get() === '';
    made.away.hidden = !environment.headless && made.fields.get('headless').get() === 'false';
    made.namespaces.usual(made.usual(), made.touched.has('scope'));
  }

  /* ---------------------------------------------------------------- values */

  const PLAIN = { environment: 'environment', name: 'name', pod: 'target.pod',
    container: 'target.container', node: 'target.node', selector: 'target.selector',
    duration: 'stop_after.seconds', events: 'stop_after.events', headless: 'headless' };

  function read(made) {
    const values = made.namespaces.get();
    for (const [name, key] of Object.entries(PLAIN)) values[name] = made.fields.get(key).get();
    values.params = Object.assign({}, made.foreign);
    for (const field of made.fields.values()) {
      if (field.spec && field.get() !== '') values.params[field.spec.name] = field.get();
    }
    return values;
  }

  function fill(made, values) {
    for (const [name, key] of Object.entries(PLAIN)) made.fields.get(key).set(values[name]);
    const usual = usualNamespace(made.gadget, values.environment);
    made.namespaces.usual(usual, true);
    made.namespaces.set(values);
    if (values.scope !== (usual ? 'others' : 'all')) made.touched.add('scope');
    fillParameters(made, values.params);
    showHealth(made);
    showChanged(made);
  }

  function fillParameters(made, params) {
    made.foreign = Object.assign({}, params); // params the gadget does not have: kept, reported
    for (const field of made.fields.values()) {
      if (!field.spec) continue;
      const { name, key } = field.spec;
      field.set(name in params ? params[name] : params[key]);
      delete made.foreign[name];
      delete made.foreign[key];
      if (field.get() !== '' && field.spec.advanced) made.folded.open = true;
    }
  }

  /* What would be sent, and what is wrong with it before anybody was asked. */
  function request(made) {
    const asked = ig.startModel.toBody(made.gadget.name, read(made), made.usual());
    const environment = made.environment();
    if (environment.name && !runs(environment, made.gadget)) {
      asked.problems.environment = environment.name + ' does not have ' + made.gadget.title +
        '; it has ' + environment.gadgets.length + ' other gadgets';
    }
    return asked;
  }

  function showChanged(made) {
    let changed = 0;
    let folded = 0;
    for (const field of made.fields.values()) {
      if (!field.spec) continue;
      const on = field.get() !== '';
      field.node.classList.toggle('changed', on);
      if (field.spec.advanced) {
        folded++;
        if (on) changed++;
      }
    }
    if (made.foldedCount) {
      made.foldedCount.textContent = folded + (changed ? ' · ' + changed + ' changed' : '');
    }
  }

  function onChange(made, event) {
    const holder = event && event.target && event.target.closest('[data-field]');
    if (holder) made.touched.add(holder.dataset.field);
    if (holder && holder.dataset.field === 'environment') {
      showHealth(made);
      made.metadata.run();
    }
    showChanged(made);
    made.check.soon();
    clearTimeout(made.urlTimer);
    made.urlTimer = setTimeout(made.writeUrl, URL_DELAY);
  }

  /* Only while the form is on the page: the address bar then belongs to it. */
  function writeUrl(made) {
    if (!active || form !== made && form !== null) return;
    const wanted = ig.startModel.toParams(read(made), made.first, made.usual());
    const now = new URLSearchParams(window.location.search);
    for (const key of new Set([...now.keys(), ...Object.keys(wanted)])) {
      const value = key in wanted ? wanted[key] : null;
      if (now.get(key) !== value) ig.setParam(key, value);
    }
    made.written = String(new URLSearchParams(window.location.search));
  }

  /* ---------------------------------------------------------------- problems */

  /* Mark each problem at its field. A required value nobody came to yet is not shouted at. */
  function showProblems(made, found) {
    const problems = Object.assign({}, found);
    if (problems.gadget && !problems.environment) problems.environment = problems.gadget;
    delete problems.gadget; // it is a matter of where: the page is that gadget's
    made.problems = problems;
    const lost = [];
    for (const [key, field] of made.fields) {
      const early = !made.submitted && !made.touched.has(key) && field.spec &&
        field.spec.required && field.get() === '';
      field.problem(early ? null : problems[key]);
    }
    for (const [key, why] of Object.entries(problems)) {
      if (!made.fields.has(key)) lost.push(key + ': ' + why);
    }
    banner(made, lost.length ? lost.join('; ') : '', lost.length > 0);
    const count = Object.keys(problems).length;
    made.submit.textContent = count === 0 ? 'Start session'
      : 'Start session · ' + count + (count === 1 ? ' problem' : ' problems');
    made.submit.classList.toggle('held', count > 0);
    summarise(made, count);
  }

  function summarise(made, count) {
    if (count === 0) {
      made.summary.replaceChildren();
      return;
    }
    const first = ig.el('button', { type: 'button', class: 'btn s' }, 'Show the first');
    first.addEventListener('click', () => focusProblem(made));
    made.summary.replaceChildren(ig.el('span', { class: 't-err' },
      count === 1 ? 'One value needs a look.' : count + ' values need a look.'), first);
  }

  function focusProblem(made) {
    for (const [key, field] of made.fields) {
      if (!made.problems[key]) continue;
      field.problem(made.problems[key]);
      field.focus();
      return;
    }
  }

  function banner(made, words, own) {
    if (!words && made.bannerKept) return;
    made.bannerKept = Boolean(words) && !own;
    made.banner.hidden = !words;
    made.banner.textContent = words;
  }

  /* ---------------------------------------------------------------- starting */

  async function start(made) {
    if (made.sending) return;
    made.submitted = true;
    const { body, problems } = request(made);
    if (Object.keys(problems).length) {
      showProblems(made, Object.assign({}, made.problems, problems));
      focusProblem(made);
      return;
    }
    made.sending = true;
    made.bannerKept = false;
    made.banner.hidden = true;
    made.submit.classList.add('busy');
    try {
      const session = await ig.api('/api/sessions', { method: 'POST', body: body });
      ig.toast('Started ' + ig.sessionsRow.describe(session), 'ok');
      const here = active && form === made; // who looks at something else meanwhile stays there
      made.dispose();
      drafts.delete(made.gadget.name);
      if (form === made) form = null;
      ig.running.refresh();
      if (here) ig.nav('/sessions/' + session.id);
    } catch (error) {
      refused(made, error);
    } finally {
      made.sending = false;
      made.submit.classList.remove('busy');
    }
  }

  function refused(made, error) {
    const problem = error.problem || {};
    if (problem.status === 422 && problem.problems) {
      showProblems(made, problem.problems);
      focusProblem(made);
      return;
    }
    const tail = ' Nothing was started; what you typed is kept.';
    if (problem.status === 503) {
      banner(made, 'The collector does not answer: ' + error.message + tail, false);
    } else {
      banner(made, error.message + tail, false);
    }
  }

  /* ---------------------------------------------------------------- keys and routes */

  document.addEventListener('keydown', (event) => {
    if (!active || !form || event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    if (document.querySelector('dialog[open]')) return;
    event.preventDefault();
    start(form);
  });

  ig.onRoute('start', enter);
  ig.onLeave('start', () => {
    active = false;
    if (form) clearTimeout(form.urlTimer);
  });
})();
