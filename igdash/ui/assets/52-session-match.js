/* How many events match, in the line below the grid: exact, or with what it covers while the rest is
   being counted. The history is counted once, newest first; from then on only what is new. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;
  const AGAIN_MS = 1000, SLICE_MS = 2000, ROWS_MS = 1500;
  /* `from`–`to`: the seqs counted so far; `examined` of `total` events asked about. */
  const m = { count: 0, from: 0, to: 0, examined: 0, total: 0, complete: false, known: false, busy: false, going: false, serial: 0, timer: 0, error: null };
  view.match = m;
  let ui = null, aborter = new AbortController();

  const asking = () => Boolean(core.asked.filter || core.asked.from || core.asked.to);
  const looked = () => core.shown && core.tab === 'events' && document.visibilityState === 'visible';

  function reset() {
    clearTimeout(m.timer);
    aborter.abort(); // the server stops counting as well
    aborter = new AbortController();
    Object.assign(m, { count: 0, from: 0, to: 0, examined: 0, total: 0, complete: false, known: false, busy: false, going: false, serial: m.serial + 1, error: null });
    paint();
    if (asking() && core.session !== null) m.timer = setTimeout(begin, ROWS_MS);
  }

  /* Rows come first: the server has few workers, and who asked wants to see, not to count. */
  function begin() {
    if (!asking() || core.session === null || m.known || m.busy) return;
    clearTimeout(m.timer);
    core.quiet(start());
  }

  async function ask(more) {
    const serial = m.serial;
    m.busy = true;
    try {
      const answer = await core.get('/count?' + core.where(more), aborter.signal);
      if (serial !== m.serial) throw new DOMException('asked differently', 'AbortError');
      m.error = null;
      return answer;
    } catch (error) {
      if (serial === m.serial && !core.isAbort(error)) {
        m.error = error;
        m.going = false;
        if (error.problem && error.problem.status === 400 && error.problem.position !== undefined) view.filter.wrong(error.problem);
        else plan();
        paint();
      }
      throw error;
    } finally {
      if (serial === m.serial) m.busy = false;
    }
  }

  async function start() {
    const { count, scope } = await ask();
    Object.assign(m, { count: count, from: scope.from_seq, to: scope.to_seq, complete: scope.complete, known: true });
    m.examined = scope.examined === undefined ? scope.to_seq - scope.from_seq + 1 : scope.examined;
    m.total = scope.total === undefined ? Number(core.session.events) : scope.total;
    paint();
    if (m.complete) plan();
    else await further();
  }

  /* What came since. */
  async function newer() {
    if (!m.known) return start();
    const { count, scope } = await ask({ after: m.to });
    if (scope.complete) {
      m.count += count;
      m.examined += scope.examined || 0;
      m.total += scope.total || 0;
      m.to = Math.max(m.to, scope.to_seq);
    } else if (!m.going) reset();
    paint();
    plan();
    return undefined;
  }

  /* What is older than all that was counted, slice by slice, until it is all, somebody says stop, or
     nobody looks any more. */
  async function further() {
    const serial = m.serial;
    m.going = true;
    paint();
    while (m.going && !m.complete && looked()) {
      const { count, scope } = await ask({ before: m.from, budget_ms: SLICE_MS });
      if (serial !== m.serial || !m.going) break;
      const seen = scope.examined === undefined ? scope.to_seq - scope.from_seq + 1 : scope.examined;
      m.count += count;
      m.examined += seen;
      m.complete = scope.complete;
      if (seen > 0) m.from = Math.min(m.from, scope.from_seq);
      else if (!scope.complete) m.going = false;
      paint();
    }
    if (serial !== m.serial) return;
    m.going = false;
    paint();
    plan();
  }
  function stop() {
    m.going = false;
    paint();
  }

  function plan() {
    clearTimeout(m.timer);
    if (!asking() || !core.session || (core.ended() && m.known && m.to >= Number(core.session.last_seq))) return;
    m.timer = setTimeout(() => {
      const news = core.session && Number(core.session.last_seq) > m.to;
      if (looked() && !m.busy && !m.going && (news || m.error)) core.quiet(newer());
      else plan();
    }, m.error ? AGAIN_MS * 5 : AGAIN_MS);
  }

  /* ---------------------------------------------------------------- painting */

  function paint() {
    if (!ui) return;
    ui.hidden = !asking();
    if (ui.hidden) {
      ui.replaceChildren();
      return;
    }
    const refused = m.error && m.error.problem && m.error.problem.status === 400;
    if (m.error && !m.known) {
      ui.replaceChildren(el('span', { class: 't-err' }, refused ? 'the filter cannot be read' : 'not counted: ' + m.error.message));
      return;
    }
    if (!m.known) {
      ui.replaceChildren(el('span', { class: 'muted' }, 'counting …'));
      return;
    }
    const what = core.asked.filter ? (m.count === 1 ? ' event matches' : ' events match') : (m.count === 1 ? ' event in this time' : ' events in this time');
    if (m.complete) {
      const of = core.asked.filter ? ' of ' + ig.fmt.count(m.total) : '';
      ui.replaceChildren(el('b', {}, ig.fmt.count(m.count)), of + what);
      return;
    }
    const part = m.total > 0 ? Math.min(1, m.examined / m.total) : 0;
    ui.replaceChildren(el('b', {}, ig.fmt.count(m.count)), what + ' in the newest ' + ig.fmt.count(m.examined) + ' of ' + ig.fmt.count(m.total), ' ',
      el('progress', { class: 'f-progress', value: String(part), max: '1', 'aria-label': 'Searched' }),
      el('button', { class: 'btn s', type: 'button', on: { click: () => (m.going ? stop() : core.quiet(further())) } }, m.going ? 'Stop searching' : 'Search further'));
  }

  ig.ready(() => {
    ui = el('span', { id: 'session-match', class: 'f-match', hidden: true });
    document.querySelector('.s-status').prepend(ui);
    core.on('open', reset);
    core.on('answered', begin);
    core.on('painted', begin);
    core.on('asked', (changed) => { if (changed.some((name) => ['filter', 'from', 'to'].includes(name))) reset(); });
    core.on('tab', () => plan());
    core.on('close', () => { clearTimeout(m.timer); aborter.abort(); });
  });
})();
