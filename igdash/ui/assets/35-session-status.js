/* What surrounds the grid and says where the reader is: the follow button, the chip with the exact
   number of new events, the strip of the newest loss, the line below, the column menu, and why there
   is nothing to see yet. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;
  const status = (view.status = {});
  let ui = null, waiting = false, dismissed = null;

  function build() {
    const follow = ig.$('session-follow');
    follow.addEventListener('click', () => view.grid.toggle());
    ig.$('session-chip').addEventListener('click', () => core.quiet(view.grid.goLive()));
    view.menu(ig.$('session-columns'), chooser);
    const search = el('div', { class: 's-search', role: 'status', hidden: true });
    ig.$('session-chip').parentNode.append(search);
    ui = {
      search: search, follow: follow, followText: follow.querySelector('.s-follow-text'), chip: ig.$('session-chip'), strip: ig.$('session-strip'),
      left: ig.$('session-rows'), newest: ig.$('session-newest'), answered: ig.$('session-answered'), mode: ig.$('session-mode'), empty: ig.$('session-empty'),
    };
  }

  /* ---------------------------------------------------------------- painting, once a frame at most */

  status.paint = function () {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (core.shown && ui) paint();
    });
  };

  function paint() {
    const g = view.grid.state;
    const live = !core.ended() && core.session !== null;
    const following = view.grid.following();
    const behind = news(g);
    paintFollow(live, following, g);
    ui.chip.hidden = !(behind.count > 0 && !following);
    ig.setText(ui.chip.lastElementChild, (behind.exact ? '' : '≥ ') + ig.fmt.count(behind.count) + (behind.count === 1 ? ' new event' : ' new events'));
    paintLine(g, live, following);
    paintSearch();
    paintEmpty(g);
  }

  /* How many events the reader has not been shown. */
  function news(g) {
    if (!g.ready || g.ticks) return { count: 0, exact: true };
    return g.found ? view.asked.behind() : { count: Math.max(0, g.latest - g.head), exact: true };
  }

  /* How far an answer has come that its time was too short for. */
  function paintSearch() {
    const now = view.asked.progress();
    ui.search.hidden = now.kind === '';
    if (now.kind === '') return;
    const part = ig.fmt.count(now.examined) + ' of ' + ig.fmt.count(now.total) + ' events';
    const [words, label, fn] = {
      searching: ['Looked through ' + part + ' …', 'Stop', view.asked.stop],
      stopped: ['Stopped after ' + part, 'Look further', view.asked.goOn],
      partial: ['In order among the newest ' + part, 'Sort all', () => core.quiet(view.asked.sortAll())],
    }[now.kind];
    if (ui.search.dataset.kind !== now.kind) {
      ui.search.dataset.kind = now.kind;
      ui.search.replaceChildren(el('span', {}), el('button', { class: 'btn s', type: 'button', on: { click: fn } }, label));
    }
    ig.setText(ui.search.firstChild, words);
  }

  function paintFollow(live, following, g) {
    const tick = g.ticks !== null;
    ui.follow.hidden = !live || (tick && !view.ticks.many());
    const on = tick ? view.ticks.following() : following;
    ui.follow.classList.toggle('primary', on);
    ui.follow.setAttribute('aria-pressed', String(on));
    ig.setText(ui.followText, on ? 'Following' : g.paused ? 'Paused' : 'Follow');
    ui.follow.firstElementChild.className = on ? 's-pulse' : 'i i-' + (g.paused ? 'pause' : 'arrow-up');
    ui.follow.title = on ? 'New events appear at the top. Click or p to hold still.' : 'Go to the newest event and follow (p or Home)';
  }

  function paintLine(g, live, following) {
    if (!g.ready) {
      for (const node of [ui.left, ui.newest, ui.answered, ui.mode]) ig.setText(node, '');
      return;
    }
    const [from, to] = view.grid.range();
    const total = view.grid.total();
    const top = from >= 0 && view.grid.at(from), bottom = to >= 0 && view.grid.at(Math.min(to, total - 1));
    if (g.ticks) ig.setText(ui.left, view.ticks.words());
    else if (g.found) ig.setText(ui.left, foundWords(g.found, from, Math.min(to, total - 1)));
    else if (top && bottom) ig.setText(ui.left, '#' + ig.fmt.count(top.seq) + ' – #' + ig.fmt.count(bottom.seq) + ' of ' + ig.fmt.count(Math.max(g.latest, g.head)));
    else ig.setText(ui.left, total === 0 ? 'no events' : '');
    const newest = !g.ticks && (g.found ? g.found.order === 'newest' && g.found.at(0) : g.rows.get(g.head));
    ig.setText(ui.newest, newest ? 'newest shown ' + ig.fmt.time(newest.ts) : '');
    ig.setText(ui.answered, g.answered > 0 ? 'answered in ' + Math.max(1, Math.round(g.answered)) + ' ms' : '');
    const bound = g.found && !view.asked.live();
    const still = bound ? boundWords(g.found) : g.paused ? 'paused' : g.picked.size > 0 ? 'holding still: rows are chosen' : g.selected !== null ? 'holding still: a row is selected' : 'holding still: scrolled';
    const lost = ig.live.status === 'lost' || ig.live.status === 'connecting';
    const now = lost ? 'no connection, trying again' : view.away() ? 'waiting for the collector' : 'live';
    const held = g.ticks ? !view.ticks.following() : !following;
    ig.setText(ui.mode, !live ? (core.session ? core.session.state : '') : held ? (g.ticks ? 'holding still' : still) : now);
  }

  function foundWords(found, from, to) {
    if (to < 0) return found.end ? 'no rows' : '';
    const all = found.end ? ' of ' + ig.fmt.count(found.total) : '';
    return 'rows ' + ig.fmt.count(from + 1) + ' – ' + ig.fmt.count(to + 1) + all;
  }
  function boundWords(found) {
    if (found.order === 'newest') return 'a time that has passed';
    return found.order === 'oldest' ? 'oldest first' : 'in order of ' + view.arrange.sortLabel();
  }

  /* ---------------------------------------------------------------- nothing to see */

  function paintEmpty(g) {
    const session = core.session;
    const show = g.painted && session !== null && view.grid.total() === 0;
    ui.empty.hidden = !show;
    if (!show) return;
    const [title, why, buttons] = g.ticks ? view.ticks.nothing() : g.found ? notFound(g) : nothing(session);
    if (ui.empty.dataset.title === title && ui.empty.dataset.why === why) return;
    ui.empty.dataset.title = title;
    ui.empty.dataset.why = why;
    ui.empty.replaceChildren(el('div', { class: core.ended() ? 'ico' : 'ico s-breathe' }, ig.icon(core.ended() ? 'info' : 'pulse', true)), el('h2', {}, title), el('p', {}, why),
      buttons ? el('div', { class: 's-empty-do' }, buttons) : null);
  }

  /* No row of a question: still looking, wrongly asked, or truly none. */
  function notFound(g) {
    const { filter, from, to } = core.asked;
    const button = (label, changes) => el('button', { class: 'btn', type: 'button', on: { click: () => core.ask(changes) } }, label);
    const buttons = [filter ? button('Remove the filter', { filter: null }) : null, from || to ? button('All times', { from: null, to: null }) : null];
    if (g.error && g.error.problem && g.error.problem.status === 400) return ['This question cannot be answered', g.error.message, buttons];
    if (g.error) return ['Not answered', g.error.message, null];
    const now = view.asked.progress();
    if (now.kind === 'searching') return ['Nothing found yet', 'The newest events are looked through first; it goes on by itself.', null];
    const time = from || to ? ' in this time' : '';
    return ['No event matches', (filter ? 'No event of this session' + time + ' matches the filter.' : 'This session has no event' + time + '.') + (view.asked.live() && !core.ended() ? ' New ones appear here by themselves.' : ''), buttons];
  }

  function nothing(session) {
    const gadget = ig.gadget(session.gadget);
    if (session.state === 'starting') return ['Starting ' + gadget.title, 'The gadget is being loaded in ' + session.environment + '. The first start on a node takes the longest; the Log tab shows what it says.'];
    if (session.state === 'failed') return ['No events', 'The gadget ended with an error before anything was received. The reason is above; the Log tab has its last lines.'];
    if (core.ended()) return ['No events', 'Nothing matched while this session ran. A wider target or another moment may show more: Run again starts the same once more.'];
    if (gadget.delivery === 'at_stop') return ['Collecting', 'This gadget gives its one result when the session is stopped.'];
    return ['Waiting for the first event', 'The gadget is running and watches ' + ig.target(session.target) + '. Nothing has happened there yet; events appear here by themselves.'];
  }
  status.nothing = nothing;

  /* ---------------------------------------------------------------- the newest loss */

  const lossKey = (loss) => core.id + '|' + loss.node + '|' + loss.cause + '|' + loss.from;
  function paintStrip() {
    const list = (core.losses && core.losses.losses) || [];
    ui.strip.classList.remove('s-blank');
    const newest = list[list.length - 1];
    ui.strip.hidden = !newest || lossKey(newest) === dismissed;
    if (ui.strip.hidden) return;
    ui.strip.replaceChildren(ig.icon('warn'), el('span', { class: 'ell' }, view.text.lossLine(newest)),
      el('button', { class: 'btn s', type: 'button', on: { click: () => core.showTab('losses') } }, 'All losses'),
      el('button', { class: 'btn ghost s icon', type: 'button', 'aria-label': 'Dismiss until a newer loss', title: 'Dismiss until a newer loss', on: { click: () => { dismissed = lossKey(newest); paintStrip(); } } }, ig.icon('close')));
  }

  /* ---------------------------------------------------------------- columns */

  function paintColumns() {
    const g = view.grid.state;
    ig.setText(ig.$('session-columns-count'), (g.shown || []).length + '/' + g.list.length);
  }

  function chooser() {
    const g = view.grid.state;
    const search = el('input', { class: 'input', type: 'search', placeholder: 'Find a column', 'aria-label': 'Find a column' });
    const list = el('div', { class: 's-columns-list' }, g.list.map((column) => {
      const box = el('input', { type: 'checkbox', checked: g.shown.includes(column.id), on: { change: () => change(column.id, box.checked) } });
      const pin = el('button', { class: 'btn ghost s icon s-pin', type: 'button', 'aria-pressed': String(view.arrange.isPinned(column.id)), 'aria-label': 'Keep ' + column.label + ' at the left', title: 'Keep at the left',
        on: { click: (event) => { event.preventDefault(); event.stopPropagation(); const on = !view.arrange.isPinned(column.id); if (!box.checked) { box.checked = true; change(column.id, true); } view.arrange.pin(column.id, on); pin.setAttribute('aria-pressed', String(on)); } } }, ig.icon('left'));
      return el('label', { data: { name: (column.label + ' ' + column.id).toLowerCase() }, title: column.field.description || null }, box, el('span', {}, column.label),
        el('span', { class: 'faint mono' }, column.id.startsWith('@') ? '' : column.id), pin);
    }));
    search.addEventListener('input', () => {
      for (const label of list.children) label.hidden = !label.dataset.name.includes(search.value.trim().toLowerCase());
    });
    search.addEventListener('click', (e) => e.stopPropagation());
    const reset = el('button', { class: 'btn s', type: 'button', on: { click: () => view.grid.choose(null) } }, 'Reset');
    return [el('div', { class: 's-columns' }, search, list, el('div', { class: 's-columns-foot' }, el('span', { class: 'faint' }, 'Remembered for ' + core.session.gadget), reset))];
  }

  function change(id, on) {
    const g = view.grid.state;
    const shown = on ? insert(g.list.map((column) => column.id), g.shown, id) : g.shown.filter((one) => one !== id);
    if (shown.length > 0) view.grid.choose(shown);
  }
  /* A column comes back where the gadget's own order has it, as far as the user's order allows. */
  function insert(order, shown, id) {
    const before = shown.findIndex((one) => order.indexOf(one) > order.indexOf(id));
    const at = before < 0 ? shown.length : before;
    return [...shown.slice(0, at), id, ...shown.slice(at)];
  }

  ig.ready(() => {
    build();
    core.on('open', () => { ui.strip.classList.add('s-blank'); ui.chip.hidden = true; ui.empty.hidden = true; status.paint(); });
    core.on('session', status.paint);
    ig.live.onStatus(status.paint);
    core.on('losses', paintStrip); // until then the strip keeps its room: each change of height costs a layout
    core.on('columns', paintColumns);
  });
})();
