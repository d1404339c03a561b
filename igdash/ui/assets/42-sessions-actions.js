/* What can be done to sessions from the table: stop, run again, delete, export, copy the id; one by
   one from a row and its menu, or many at once with one question that names what will happen and
   a report that names what did not. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const NAMED = 4; // how many sessions a question names before it counts the rest

  const path = (session, rest) => '/api/sessions/' + encodeURIComponent(session.id) + (rest || '');
  const plural = (n, word) => ig.fmt.count(n) + ' ' + word + (n === 1 ? '' : 's');
  const reason = (error) => (error.problem && error.problem.detail) || error.message;

  function names(sessions) {
    const first = sessions.slice(0, NAMED).map(ig.sessionsRow.describe).join(', ');
    const rest = sessions.length - NAMED;
    return rest > 0 ? first + ' and ' + rest + ' more' : first;
  }

  const sumEvents = (sessions) => sessions.reduce((sum, s) => sum + Number(s.events), 0);

  function askStop(sessions) {
    const its = sessions.length === 1 ? 'its' : 'their';
    const text = names(sessions) + '. Collecting ends; ' + its + ' events stay stored and readable.' + instances(sessions);
    return ig.confirm(text, { action: 'Stop', title: 'Stop ' + plural(sessions.length, 'session') + '?' });
  }

  /* What a stop takes away from the nodes; leaving it there is the session view's and the sidebar's. */
  function instances(sessions) {
    const n = sessions.filter((s) => s.headless).length;
    if (!n) return '';
    return n === 1 ? ' The headless instance is removed from the nodes.' : ' ' + n + ' headless instances are removed from the nodes.';
  }

  function askDelete(sessions) {
    const live = sessions.filter((s) => !ig.sessionsRow.ended(s)).length;
    let first = '';
    if (live) {
      const which = sessions.length === 1 ? 'It is' : live + ' of them ' + (live === 1 ? 'is' : 'are');
      first = ' ' + which + ' running and ' + (live === 1 ? 'is' : 'are') + ' stopped first.';
    }
    const text = names(sessions) + ', with ' + plural(sumEvents(sessions), 'stored event') + '.' +
      first + instances(sessions) + ' This cannot be undone.';
    return ig.confirm(text,
      { action: 'Delete', title: 'Delete ' + plural(sessions.length, 'session') + '?' });
  }

  /* Do `work` for each; returns [{session, error}] of those that failed. */
  async function each(sessions, work) {
    const done = await Promise.allSettled(sessions.map((session) => work(session)));
    return done
      .map((result, i) => ({ session: sessions[i], error: result.reason }))
      .filter((entry) => entry.error);
  }

  function report(failed, total, verb) {
    const good = total - failed.length;
    if (good) ig.toast(plural(good, 'session') + ' ' + verb + '.', 'ok');
    if (total === 1 && failed.length) ig.toast(reason(failed[0].error), 'err');
    return total === 1 ? [] : failed.map((f) => ({ session: f.session, reason: reason(f.error) }));
  }

  async function stop(sessions, hooks) {
    const live = sessions.filter((s) => s.state === 'running' || s.state === 'starting');
    if (!live.length) return [];
    const quiet = live.length === 1 && !(Number(live[0].rate) > 0) && !live[0].headless;
    if (!quiet && !(await askStop(live))) return null;
    live.forEach((s) => hooks.mark(s.id, 'stopping'));
    const failed = await each(live, (s) => ig.api(path(s, '/stop'), { method: 'POST' }));
    failed.forEach((f) => hooks.mark(f.session.id, f.session.state));
    return report(failed, live.length, 'told to stop');
  }

  async function remove(sessions, hooks) {
    if (!(await askDelete(sessions))) return null;
    const failed = await each(sessions, (s) => ig.api(path(s), { method: 'DELETE' }));
    const kept = new Set(failed.map((f) => f.session.id));
    hooks.gone(sessions.filter((s) => !kept.has(s.id)).map((s) => s.id));
    return report(failed, sessions.length, 'deleted');
  }

  async function again(session) {
    try {
      await ig.api(path(session, '/restart'), { method: 'POST' });
      ig.toast('Started again: ' + ig.sessionsRow.describe(session), 'ok');
      return true;
    } catch (error) {
      ig.toast(reason(error), 'err');
      return false;
    }
  }

  async function copyId(session) {
    try {
      await navigator.clipboard.writeText(session.id);
      ig.toast('Copied ' + session.id, 'ok');
    } catch {
      ig.toast('The browser does not allow copying here; the id is ' + session.id, 'err');
    }
  }

  /* ---------------------------------------------------------------- the ⋯ menu */

  let open = null; // {menu, button}

  function close(refocus) {
    if (!open) return;
    const last = open;
    open = null;
    last.menu.remove();
    last.button.removeAttribute('aria-expanded');
    if (refocus) last.button.focus();
  }

  function downloads(session) {
    return ig.exports.formats.filter((f) => !f.query.includes('plain')).map((f) =>
      ig.exports.link({ role: 'menuitem', tabindex: '-1' }, session, f.query, f.name === 'Report' ? 'Export a report' : 'Export ' + f.name));
  }

  function entry(label, run, cls) {
    const b = ig.el('button', { type: 'button', role: 'menuitem', tabindex: '-1', class: cls || '' },
      label);
    b.addEventListener('click', run);
    return b;
  }

  function place(menu, button) {
    const at = button.getBoundingClientRect();
    const below = at.bottom + 4 + menu.offsetHeight < window.innerHeight;
    menu.style.top = (below ? at.bottom + 4 : at.top - menu.offsetHeight - 4) + 'px';
    menu.style.left = Math.max(8, at.right - menu.offsetWidth) + 'px';
  }

  function keys(event) {
    const items = [...open.menu.querySelectorAll('[role=menuitem]')];
    const at = items.indexOf(document.activeElement);
    const step = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 };
    if (event.key in step) {
      event.preventDefault();
      items[step[event.key] % items.length].focus();
    } else if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault();
      close(true);
    }
    event.stopPropagation();
  }

  /* Open the menu of one session below its button. `run(name)` is told what was chosen. */
  function menu(session, button, run) {
    const again = open && open.button === button;
    close(false);
    if (again) return;
    const items = [
      ...(session.environment === 'import' ? [] : [entry('Run again with changes…', () => run('change'))]),
      ...downloads(session),
      entry('Copy id', () => run('copy')),
      entry('Delete…', () => run('delete'), 'danger'),
    ];
    const box = ig.el('div', { class: 'menu sess-menu', role: 'menu', 'aria-label': 'Session' }, ...items);
    ig.$('main').append(box);
    open = { menu: box, button: button };
    button.setAttribute('aria-expanded', 'true');
    place(box, button);
    box.addEventListener('keydown', keys);
    box.addEventListener('click', () => close(true));
    items[0].focus();
  }

  document.addEventListener('pointerdown', (event) => {
    if (open && !open.menu.contains(event.target) && !open.button.contains(event.target)) close(false);
  });
  window.addEventListener('resize', () => close(false));
  document.addEventListener('scroll', () => close(false), true);

  ig.sessionsActions = {
    stop, remove, again, copyId, menu, closeMenu: close, menuOpen: () => open !== null,
  };
})();
