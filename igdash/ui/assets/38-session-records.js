/* What a session has beside its events: the loss records, the log, and lines that were no events.
   All of it is text from outside and only ever becomes text. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;
  const LOG_LIMIT = 500, MALFORMED_LIMIT = 100, SHOWN_RAW = 2000;
  const log = { lines: [], total: 0, after: 0, bad: [], badTotal: 0, gen: -1, loading: false, seen: '' };

  /* ---------------------------------------------------------------- losses */

  const COLUMNS = ['From', 'Events lost', 'Cause', 'Node', 'To', 'Detail'];
  function paintLosses() {
    const root = ig.$('session-losses');
    const answer = core.losses, problem = core.lossesProblem;
    if (!core.session || !answer) {
      root.replaceChildren(core.session && problem ? empty('warn', 'The losses cannot be read', problem.message) : skeleton());
      return;
    }
    const list = [...answer.losses].reverse();
    if (list.length === 0) {
      root.replaceChildren(empty('check', 'Nothing was lost', core.ended()
        ? 'Every event that reached igdash is stored, and neither the kernel nor Inspektor Gadget reported a loss while this session ran.'
        : 'Every event that reached igdash is stored, and neither the kernel nor Inspektor Gadget has reported a loss so far.'));
      return;
    }
    const rows = list.map((loss) => el('tr', {}, time(loss.from), el('td', { class: 'num t-warn' }, view.text.lost(loss)),
      el('td', {}, view.text.cause(loss.cause)), el('td', {}, loss.node || '–'), time(loss.to), el('td', { class: 's-detail' }, loss.detail || '')));
    root.replaceChildren(...[summary(answer, list.length), view.lanes(answer.losses, core.session)].filter(Boolean), el('div', { class: 's-scroll', tabindex: '0', role: 'region', 'aria-label': 'Loss records' }, el('table', { class: 's-table' },
      el('thead', {}, el('tr', {}, COLUMNS.map((name) => el('th', { scope: 'col', class: name === 'Events lost' ? 'num' : null }, name)))), el('tbody', {}, rows))));
  }
  const time = (moment) => el('td', { class: 'mono', title: moment }, ig.fmt.datetime(moment).slice(5) + ig.fmt.time(moment).slice(8));

  function summary(answer, n) {
    const vague = answer.losses.some((loss) => loss.exact === false);
    const total = (vague ? 'At least ' : '') + ig.fmt.count(answer.total);
    const newest = n >= 1000 ? ' The newest ' + ig.fmt.count(n) + ' records are shown.' : '';
    return el('p', { class: 's-lead' }, el('b', { class: 't-warn' }, total + (answer.total === 1 ? ' event' : ' events')), ' lost in ' + ig.fmt.count(n) + (n === 1 ? ' record' : ' records') + ', newest first.' + newest +
      (vague ? ' Where the number is not known, or only a lower bound, the record says so.' : ''));
  }

  function empty(icon, title, why) {
    return el('div', { class: 'empty' }, el('div', { class: 'ico' }, ig.icon(icon, true)), el('h2', {}, title), el('p', {}, why));
  }
  const skeleton = () => el('div', { class: 's-pad' }, [60, 80, 45].map((width) => el('div', { class: 'sk', style: { width: width + '%', margin: '10px 0' } })));

  /* ---------------------------------------------------------------- log */

  async function loadLog() {
    if (log.loading || core.id === null) return;
    const gen = core.gen;
    log.loading = true;
    try {
      const [logs, bad] = await Promise.all([core.get('/logs?after=' + log.after + '&limit=' + LOG_LIMIT), core.get('/malformed?after=0&limit=' + MALFORMED_LIMIT)]);
      log.lines = log.lines.concat(logs.logs).slice(-5000);
      log.total = logs.total;
      if (logs.logs.length > 0) log.after = logs.logs[logs.logs.length - 1].n;
      log.bad = bad.malformed;
      log.badTotal = bad.total;
      if (logs.logs.length === LOG_LIMIT) log.seen = '';
      paintLog();
    } catch (error) {
      if (gen !== core.gen || core.isAbort(error)) return;
      Object.assign(log, { loading: false, seen: '' }); // the next look or frame tries again
      ig.$('session-log').replaceChildren(empty('warn', 'The log cannot be read', error.message));
      return;
    }
    log.loading = false;
    follow(); // what was said meanwhile, or does not fit into one answer
  }

  function paintLog() {
    const root = ig.$('session-log');
    if (log.lines.length === 0 && log.bad.length === 0) {
      root.replaceChildren(empty('terminal', 'No log lines', 'The gadget has said nothing, and every line it sent was an event.'));
      return;
    }
    const old = root.querySelector('.s-log');
    const atEnd = !old || old.scrollTop + old.clientHeight >= old.scrollHeight - 4;
    const top = old ? old.scrollTop : 0;
    const parts = [];
    if (log.bad.length > 0) parts.push(malformed());
    if (log.total > log.lines.length) parts.push(el('p', { class: 's-lead' }, 'The newest ' + ig.fmt.count(log.lines.length) + ' of ' + ig.fmt.count(log.total) + ' lines.'));
    const lines = el('div', { class: ['s-log', !log.lines.some((one) => one.node) && 's-one'], tabindex: '0', role: 'log', 'aria-label': 'Log' }, log.lines.map(line));
    parts.push(lines);
    root.replaceChildren(...parts);
    lines.scrollTop = atEnd ? lines.scrollHeight : top;
  }

  function line(one) {
    return el('div', { class: 's-line s-l-' + one.level }, el('span', { class: 'faint', title: one.ts }, ig.fmt.time(one.ts)),
      el('span', { class: 's-level' }, one.level), el('span', { class: 'muted s-node' }, one.node), el('span', { class: 's-text' }, one.text));
  }

  function malformed() {
    const more = log.badTotal > log.bad.length ? ' The first ' + ig.fmt.count(log.bad.length) + ' are shown.' : '';
    return el('details', { class: 's-bad', open: log.lines.length === 0 }, el('summary', {}, ig.icon('warn'), ig.fmt.count(log.badTotal) + (log.badTotal === 1 ? ' line' : ' lines') + ' could not be read as events', el('span', { class: 'muted' }, 'kept as received.' + more)),
      el('div', { class: 's-bad-list', tabindex: '0', role: 'region', 'aria-label': 'Lines that could not be read' }, log.bad.map((one) => el('div', {},
        el('div', { class: 'muted' }, '#' + ig.fmt.count(one.n) + ' · ' + ig.fmt.time(one.ts) + (one.node ? ' · ' + one.node : '') + ' · ' + ig.fmt.bytes(one.size) + ' · after event #' + ig.fmt.count(one.at_seq)),
        el('div', { class: 't-warn' }, one.reason), el('pre', {}, one.raw.length > SHOWN_RAW ? one.raw.slice(0, SHOWN_RAW) + '… (' + ig.fmt.count(one.raw.length - SHOWN_RAW) + ' more characters)' : one.raw)))));
  }

  /* New lines are asked for only when the counters moved and somebody looks. */
  function follow() {
    if (core.tab !== 'log' || !core.session) return;
    const seen = core.gen + '/' + core.session.logs + '/' + core.session.malformed;
    if (seen === log.seen || log.loading) return;
    log.seen = seen;
    core.quiet(loadLog());
  }

  ig.ready(() => {
    core.on('open', () => {
      Object.assign(log, { lines: [], total: 0, after: 0, bad: [], badTotal: 0, loading: false, seen: '' });
      ig.$('session-log').replaceChildren(skeleton());
      paintLosses();
    });
    core.on('tab', (name) => { if (name === 'losses') paintLosses(); else follow(); });
    core.on('losses', () => { if (core.tab === 'losses') paintLosses(); });
    core.on('ready', () => {
      if (core.tab !== 'losses') return;
      paintLosses();
      core.loadLosses(); // rows, that else bring them along, may take their time
    });
    core.on('session', follow);
    core.on('frame', follow);
  });
})();
