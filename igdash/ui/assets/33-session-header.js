/* Who this session is and how it is doing: title, target, counters, and what can be done with it.
   Also the tabs below it and the states in which there is no session to show. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;
  const DOTS = { starting: 'wait', running: '', stopping: 'wait', stopped: 'stop', interrupted: 'warn', failed: 'err' };
  const STATES = { starting: 'starting', running: 'running', stopping: 'stopping', stopped: 'stopped', interrupted: 'interrupted', failed: 'failed' };
  let ui = null, clock = 0, asking = 0;

  /* ---------------------------------------------------------------- parts */

  function stat(label, attrs) {
    const value = el('b', {}, '–');
    const node = el('div', Object.assign({ class: 'stat' }, attrs), value, el('span', {}, label));
    return { node: node, value: value, label: node.lastChild };
  }

  function build() {
    const stats = {
      events: stat('events'), rate: stat('now'), nodes: stat('nodes', { hidden: true }),
      lost: stat('lost', { class: 'stat s-lost', role: 'link', tabindex: '0', hidden: true, title: 'Show what was lost', on: { click: () => core.showTab('losses'), keydown: (e) => { if (e.key === 'Enter') core.showTab('losses'); } } }),
      malformed: stat('malformed', { class: 'stat s-lost', role: 'link', tabindex: '0', hidden: true, title: 'Lines that could not be read', on: { click: () => core.showTab('log'), keydown: (e) => { if (e.key === 'Enter') core.showTab('log'); } } }),
      time: stat('running'),
    };
    const stop = el('button', { class: 'btn danger', type: 'button', id: 'session-stop', on: { click: () => askStop() } }, ig.icon('stop'), 'Stop');
    const again = el('button', { class: 'btn primary', type: 'button', id: 'session-again', hidden: true, on: { click: runAgain } }, ig.icon('refresh'), 'Run again');
    const sure = el('span', { class: 's-sure', hidden: true, role: 'group', 'aria-label': 'Stop this session?' });
    const exporting = menu(el('button', { class: 'btn', type: 'button', id: 'session-export' }, ig.icon('download'), 'Export', ig.icon('down')), exports);
    const more = menu(el('button', { class: 'btn icon', type: 'button', id: 'session-more', 'aria-label': 'More' }, ig.icon('more')), () => [
      el('button', { type: 'button', class: 't-err', on: { click: remove } }, ig.icon('trash'), 'Delete session…')]);
    ig.$('session-stats').append(...Object.values(stats).map((s) => s.node));
    ig.$('session-actions').append(exporting, sure, stop, again, more);
    ui = { stats: stats, stop: stop, again: again, sure: sure, sub: ig.$('session-sub'), banner: ig.$('session-banner') };
    for (const tab of document.querySelectorAll('#session-tabs [data-tab]')) {
      tab.addEventListener('click', () => core.showTab(tab.dataset.tab));
      tab.addEventListener('keydown', moveTab);
    }
  }

  function moveTab(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const tabs = [...document.querySelectorAll('#session-tabs [data-tab]')];
    const next = tabs[(tabs.indexOf(event.currentTarget) + step + tabs.length) % tabs.length];
    next.focus();
    core.showTab(next.dataset.tab);
    event.preventDefault();
  }

  /* A button with a menu of its own below it; Esc, a click elsewhere or a choice close it. */
  function menu(button, items) {
    const open = () => {
      const box = el('div', { class: 'menu', popover: 'auto', role: 'group', 'aria-label': button.getAttribute('aria-label') || button.textContent }, items());
      const at = button.getBoundingClientRect();
      ig.$('session-root').append(box);
      box.style.inset = 'auto';
      box.addEventListener('toggle', (e) => { if (e.newState === 'closed') { box.remove(); button.setAttribute('aria-expanded', 'false'); } });
      box.addEventListener('click', (e) => { if (e.target.closest('a,button')) box.hidePopover(); });
      box.showPopover();
      box.style.top = at.bottom + 4 + 'px';
      box.style.maxHeight = Math.max(160, window.innerHeight - at.bottom - 12) + 'px';
      box.style.left = Math.max(8, Math.min(at.right - box.offsetWidth, window.innerWidth - box.offsetWidth - 8)) + 'px';
      button.setAttribute('aria-expanded', 'true');
      const first = box.querySelector('a,button:not(:disabled),input');
      if (first) first.focus();
    };
    button.setAttribute('aria-expanded', 'false');
    button.addEventListener('click', open);
    return button;
  }
  view.menu = menu;

  /* With a filter or a range: what matches first, and everything all the same. */
  function exports() {
    const where = core.where();
    const list = (more) => ig.exports.formats.map((f) => ig.exports.link({ class: 's-format' }, core.session, f.query + more,
      el('span', {}, f.name), el('span', { class: 'faint' }, f.what)));
    if (where === '') return list('');
    const { filter, from, to } = core.asked;
    const range = from || to ? (from ? ig.fmt.datetime(from) : 'the beginning') + ' – ' + (to ? ig.fmt.datetime(to) : 'now') : '';
    const told = [filter, range].filter(Boolean).map((text) => el('div', { class: 's-export-what', title: text }, text));
    return [el('div', { class: 's-export-part' }, 'What matches'), ...told, ...list('&' + where),
      el('div', { class: 's-export-part' }, 'The whole session, ' + ig.fmt.count(core.session.events) + ' events'), ...list('')];
  }

  /* ---------------------------------------------------------------- doing things */

  function flowing() {
    return core.session && core.session.state === 'running' && Number(core.session.rate) > 0;
  }

  /* A headless session has two ways to end, whether events flow or not. */
  function choices() {
    const choice = (words, css, run) => el('button', { class: ['btn', css], type: 'button', on: { click: run } }, words);
    if (!core.session.headless) {
      return [el('span', {}, 'Stop collecting?'), choice('Stop now', 'danger fill', () => stopNow()), choice('Keep running', '', settle)];
    }
    return [el('span', {}, 'Stop, and'), choice('Remove the instance', 'danger fill', () => stopNow()),
      choice('Leave it running', '', () => stopNow(true)), choice('Cancel', 'ghost', settle)];
  }

  function askStop() {
    if (!flowing() && !(core.session && core.session.headless)) {
      stopNow();
      return;
    }
    ui.sure.replaceChildren(...choices());
    ui.sure.hidden = false;
    ui.stop.hidden = true;
    ui.sure.querySelector('button').focus();
    clearTimeout(asking);
    asking = setTimeout(settle, 8000);
  }
  function settle() {
    clearTimeout(asking);
    ui.sure.hidden = true;
    paintActions();
  }

  async function stopNow(keep = false) {
    const id = core.id;
    settle();
    ui.stop.classList.add('busy');
    try {
      await ig.api('/api/sessions/' + encodeURIComponent(id) + '/stop' + (keep ? '?keep=true' : ''), { method: 'POST' });
      if (core.id === id) core.refresh();
    } catch (error) {
      ig.toast('Could not stop: ' + error.message, 'err');
    } finally {
      ui.stop.classList.remove('busy');
    }
  }

  async function runAgain() {
    ui.again.classList.add('busy');
    try {
      const session = await ig.api(core.url('/restart'), { method: 'POST' });
      ig.nav('/sessions/' + encodeURIComponent(session.id));
    } catch (error) {
      ig.toast('Could not start again: ' + error.message, 'err');
    } finally {
      ui.again.classList.remove('busy');
    }
  }

  async function remove() {
    const session = core.session, id = core.id;
    if (!session) return;
    const running = core.ended() ? '' : 'It is still collecting and will be stopped. ';
    const instance = session.headless ? 'Its headless instance is removed, also one that was left running. ' : '';
    const yes = await ig.confirm(running + instance + 'Its ' + ig.fmt.count(session.events) + ' events are deleted for good.', { title: 'Delete this session?', action: 'Delete' });
    if (!yes) return;
    try {
      await ig.api('/api/sessions/' + encodeURIComponent(id), { method: 'DELETE' });
      ig.toast('Session deleted.', 'ok');
      if (core.id === id) ig.nav('/sessions', { replace: true });
    } catch (error) {
      ig.toast('Could not delete: ' + error.message, 'err');
    }
  }

  /* ---------------------------------------------------------------- painting */

  function paintWho(session) {
    const gadget = ig.gadget(session.gadget);
    ig.setText(ig.$('session-title'), session.title || gadget.title);
    ig.setText(ig.$('session-target'), ig.target(session.target));
    const copy = el('button', { class: 's-id', type: 'button', title: 'Copy the session’s id', on: { click: () => view.copy(session.id, 'Session id') } }, session.id.slice(0, 8), ig.icon('copy'));
    const parts = [session.gadget, session.environment, ...ig.targetRest(session.target)];
    if (session.headless || session.instance) parts.push('headless instance');
    if (session.started || session.created) parts.push('started ' + ig.fmt.datetime(session.started || session.created));
    ui.sub.replaceChildren('session ', copy, ...parts.flatMap((part) => [' · ', part]));
    if (session.name) ui.sub.prepend(el('span', { class: 's-name' }, session.name), ' · ');
  }

  function paintStats(session) {
    const s = ui.stats;
    ig.setText(s.events.value, ig.fmt.count(session.events));
    ig.setText(s.rate.value, away() ? '–' : ig.fmt.rate(session.rate));
    s.rate.node.hidden = core.ended();
    ig.setText(s.lost.value, lostText(session));
    s.lost.node.hidden = !(session.lost > 0 || (core.losses && core.losses.losses.length > 0));
    ig.setText(s.malformed.value, ig.fmt.count(session.malformed));
    s.malformed.node.hidden = !(session.malformed > 0);
    const nodes = session.nodes || {};
    s.nodes.node.hidden = !(nodes.expected > 0);
    s.nodes.node.classList.toggle('s-short', nodes.connected < nodes.expected && !core.ended());
    ig.setText(s.nodes.value, core.ended() ? nodes.expected : nodes.connected + '/' + nodes.expected);
    paintTime();
    badge('losses', core.losses ? core.losses.losses.length : 0);
    badge('log', Number(session.logs || 0) + Number(session.malformed || 0));
  }
  function lostText(session) {
    const vague = core.losses && core.losses.losses.some((loss) => loss.exact === false);
    if (vague && !(session.lost > 0)) return 'unknown';
    return (vague ? '≥ ' : '') + ig.fmt.count(session.lost);
  }
  view.lostText = lostText;
  function badge(tab, n) {
    const pill = document.querySelector('#session-tabs [data-tab=' + tab + '] .pill');
    pill.hidden = !(n > 0);
    ig.setText(pill, ig.fmt.count(n));
    pill.classList.toggle('s-amber', tab === 'losses');
  }

  function paintTime() {
    const session = core.session;
    if (!session) return;
    const from = Date.parse(session.started || session.created);
    const to = session.stopped ? Date.parse(session.stopped) : Date.now();
    ig.setText(ui.stats.time.value, ig.fmt.duration(Math.max(0, Math.floor((to - from) / 1000) * 1000)).replace(/^0 ms$/, '0 s'));
    ig.setText(ui.stats.time.label, core.ended() ? 'ran' : STATES[session.state] || session.state);
  }

  function paintActions() {
    const session = core.session;
    const ended = core.ended();
    ui.again.hidden = !session || !ended || session.environment === 'import';
    ui.stop.hidden = !session || ended || !ui.sure.hidden;
    ui.stop.disabled = Boolean(session && session.state === 'stopping');
    if (ended) ui.sure.hidden = true;
    for (const id of ['session-export', 'session-more']) ig.$(id).hidden = !session;
  }

  const NEXT = {
    failed: ['The gadget ended with an error.', 'The Log tab has its last lines.'],
    interrupted: ['Collecting was interrupted.', 'Everything received until then is stored; Run again starts a new session of the same kind.'],
  };
  function paintDot(session) {
    const dot = ig.$('session-dot');
    dot.className = ('dot ' + (away() ? 'stop' : DOTS[session.state] || '')).trim();
    dot.title = away() ? 'not collected now: the collector is down' : STATES[session.state] || session.state;
  }
  function paintState(session) {
    paintDot(session);
    ig.setText(ig.$('session-state'), STATES[session.state] || session.state);
    const [plain, next] = NEXT[session.state] || ['', ''];
    const told = session.reason || plain;
    const show = told && (NEXT[session.state] || (session.state === 'stopped' && session.reason));
    ui.banner.hidden = !show;
    if (!show) return;
    ui.banner.className = 'banner ' + (session.state === 'failed' ? 'err' : session.state === 'stopped' ? 's-note' : 'warn');
    const parts = [ig.icon(session.state === 'stopped' ? 'info' : 'warn'), el('span', { class: 's-reason' }, told.toLowerCase().startsWith(session.state) ? null : el('b', {}, stateWord(session.state) + ': '), lead(told))];
    if (next) parts.push(el('span', { class: 'muted' }, next));
    if (session.state === 'failed') parts.push(el('button', { class: 'btn s', type: 'button', on: { click: () => core.showTab('log') } }, 'Show log'));
    ui.banner.replaceChildren(...parts);
  }
  const stateWord = (word) => word.charAt(0).toUpperCase() + word.slice(1);
  const lead = (told) => (told.toLowerCase().startsWith(core.session.state) ? stateWord(told) : told);

  function paintTab(name) {
    ig.$('session-root').dataset.tab = name;
    for (const tab of document.querySelectorAll('#session-tabs [data-tab]')) {
      const on = tab.dataset.tab === name;
      tab.setAttribute('aria-selected', String(on));
      tab.tabIndex = on ? 0 : -1;
    }
    for (const panel of document.querySelectorAll('#session-root > [role=tabpanel]')) panel.hidden = panel.dataset.tab !== name || core.problem !== null;
  }

  /* The shell's banner says what is wrong; here only what would look like a lie is taken back. */
  const away = () => Boolean(ig.live.stats && ig.live.stats.collector === 'down') && core.session !== null && !core.ended();
  view.away = away;
  function paintHealth() {
    if (!core.session || core.problem) return;
    paintDot(core.session);
    ig.setText(ui.stats.rate.value, away() ? '–' : ig.fmt.rate(core.session.rate));
    view.status.paint();
  }

  /* ---------------------------------------------------------------- no session to show */

  function paintProblem(error) {
    const missing = error.problem && error.problem.status === 404;
    const box = ig.$('session-problem');
    const title = missing ? 'There is no such session' : 'This session cannot be shown';
    const why = missing ? 'No session has the id “' + core.id + '”. It may have been deleted, or the address is not complete.' : error.message;
    const go = missing ? el('a', { class: 'btn primary', href: '/sessions' }, 'All sessions') : el('button', { class: 'btn primary', type: 'button', on: { click: core.retry } }, 'Try again');
    box.replaceChildren(el('div', { class: 'ico' }, ig.icon(missing ? 'search' : 'warn', true)), el('h2', {}, title), el('p', {}, why), go);
    ig.$('session-root').classList.add('s-none');
    box.hidden = false;
    paintTab(core.tab);
    if (missing) ig.title('No such session');
  }

  function paintOpen() {
    settle();
    ig.$('session-root').classList.remove('s-none');
    ig.$('session-problem').hidden = true;
    ui.banner.hidden = true;
    const known = core.live || {};
    ig.$('session-dot').className = 'dot wait';
    ig.setText(ig.$('session-title'), known.gadget ? ig.gadget(known.gadget).title : 'Session');
    ig.setText(ig.$('session-target'), known.target ? ig.target(known.target) : '');
    ui.sub.replaceChildren('session ' + core.id.slice(0, 8));
    for (const one of Object.values(ui.stats)) ig.setText(one.value, '–');
    for (const name of ['lost', 'malformed', 'nodes']) ui.stats[name].node.hidden = true;
    badge('losses', 0);
    badge('log', 0);
    paintActions();
    paintTab(core.tab);
    clearInterval(clock);
    clock = setInterval(paintTime, 1000);
  }

  function paint(session) {
    paintWho(session);
    paintState(session);
    paintStats(session);
    paintActions();
  }
  function paintFrame() {
    paintStats(core.session);
    paintActions();
  }

  /* Browsers offer the clipboard to secure pages only; elsewhere the old way through a field works. */
  function copyByField(value) {
    const field = el('textarea', { class: 'sr-only', 'aria-hidden': 'true', tabindex: '-1' });
    field.value = value;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done ? Promise.resolve() : Promise.reject(new Error('copying is not allowed'));
  }
  view.copy = function (value, what) {
    const copied = navigator.clipboard ? navigator.clipboard.writeText(value) : copyByField(value);
    copied.then(() => ig.toast((what || 'Value') + ' copied.', 'ok'), () => ig.toast('The browser does not allow copying here.', 'warn'));
  };

  ig.ready(() => {
    build();
    core.on('open', paintOpen);
    core.on('session', paint);
    core.on('frame', paintFrame);
    core.on('losses', () => core.session && paintStats(core.session));
    core.on('tab', paintTab);
    core.on('problem', paintProblem);
    core.on('health', paintHealth);
    core.on('close', () => clearInterval(clock));
  });
})();
