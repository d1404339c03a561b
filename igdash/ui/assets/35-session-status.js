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
    ui = {
      follow: follow, followText: follow.querySelector('.s-follow-text'), chip: ig.$('session-chip'), strip: ig.$('session-strip'),
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
    const behind = g.ready && !g.ticks ? Math.max(0, g.latest - g.head) : 0;
    paintFollow(live, following, g);
    ui.chip.hidden = !(behind > 0 && !following);
    ig.setText(ui.chip.lastElementChild, ig.fmt.count(behind) + (behind === 1 ? ' new event' : ' new events'));
    paintLine(g, live, following);
    paintEmpty(g);
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
    else if (top && bottom) ig.setText(ui.left, '#' + ig.fmt.count(top.seq) + ' – #' + ig.fmt.count(bottom.seq) + ' of ' + ig.fmt.count(Math.max(g.latest, g.head)));
    else ig.setText(ui.left, total === 0 ? 'no events' : '');
    const newest = !g.ticks && g.rows.get(g.head);
    ig.setText(ui.newest, newest ? 'newest shown ' + ig.fmt.time(newest.ts) : '');
    ig.setText(ui.answered, g.answered > 0 ? 'answered in ' + Math.max(1, Math.round(g.answered)) + ' ms' : '');
    const still = g.paused ? 'paused' : g.selected !== null ? 'holding still: a row is selected' : 'holding still: scrolled';
    const lost = ig.live.status === 'lost' || ig.live.status === 'connecting';
    const now = lost ? 'no connection, trying again' : view.away() ? 'waiting for the collector' : 'live';
    const held = g.ticks ? !view.ticks.following() : !following;
    ig.setText(ui.mode, !live ? (core.session ? core.session.state : '') : held ? (g.ticks ? 'holding still' : still) : now);
  }

  /* ---------------------------------------------------------------- nothing to see */

  function paintEmpty(g) {
    const session = core.session;
    const show = g.painted && session !== null && view.grid.total() === 0;
    ui.empty.hidden = !show;
    if (!show) return;
    const [title, why] = g.ticks ? view.ticks.nothing() : nothing(session);
    if (ui.empty.dataset.title === title && ui.empty.dataset.why === why) return;
    ui.empty.dataset.title = title;
    ui.empty.dataset.why = why;
    ui.empty.replaceChildren(el('div', { class: core.ended() ? 'ico' : 'ico s-breathe' }, ig.icon(core.ended() ? 'info' : 'pulse', true)), el('h2', {}, title), el('p', {}, why));
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
      return el('label', { data: { name: (column.label + ' ' + column.id).toLowerCase() }, title: column.field.description || null }, box, el('span', {}, column.label),
        column.id.startsWith('@') ? null : el('span', { class: 'faint mono' }, column.id));
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
