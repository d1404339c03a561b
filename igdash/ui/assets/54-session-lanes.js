/* Which nodes a session covers, in the header; and where its losses are: a lane per node and cause on
   the session's time axis, above the table of records. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;
  const WIDE = 1000, HIGH = 14, MOST = 40;
  const COLORS = { kernel: 'var(--c3)', ig_queue: 'var(--c7)', stream: 'var(--err)', stop_tail: 'var(--c8)',
    writer: 'var(--c4)', retention: 'var(--c5)' };
  const DOTS = { connected: ['', 'connected'], waiting: ['warn', 'no connection'], failed: ['err', 'refused'], ended: ['stop', 'ended'] };

  /* ---------------------------------------------------------------- lanes */

  const ms = (moment) => Date.parse(moment);
  function span(session, losses) {
    const starts = losses.map((loss) => ms(loss.from)), ends = losses.map((loss) => ms(loss.to));
    const from = Math.min(ms(session.started || session.created), ...starts);
    const to = Math.max(session.stopped ? ms(session.stopped) : Date.now(), ...ends);
    return { from: from, to: Math.max(to, from + 1000) };
  }

  /* Lanes by node, then cause: [{node, cause, losses, count, vague}], the node with most first. */
  function group(losses) {
    const lanes = new Map();
    for (const loss of losses) {
      const key = loss.node + '\0' + loss.cause;
      if (!lanes.has(key)) lanes.set(key, { node: loss.node, cause: loss.cause, losses: [], count: 0, vague: false });
      const lane = lanes.get(key);
      lane.losses.push(loss);
      lane.count += Number(loss.count);
      lane.vague = lane.vague || loss.exact === false;
    }
    const all = [...lanes.values()], total = new Map();
    for (const lane of all) total.set(lane.node, (total.get(lane.node) || 0) + lane.count);
    return all.sort((a, b) => total.get(b.node) - total.get(a.node) || (a.node < b.node ? -1 : a.node > b.node ? 1 : b.count - a.count));
  }

  const amount = (lane) => (lane.vague && !lane.count ? 'unknown' : (lane.vague ? '≥ ' : '') + ig.fmt.count(lane.count));
  function draw(lane, range) {
    const scale = WIDE / (range.to - range.from);
    const bars = lane.losses.map((loss) => {
      const x = (ms(loss.from) - range.from) * scale, width = Math.max(3, (ms(loss.to) - ms(loss.from)) * scale);
      return ig.svg('rect', { x: Math.min(x, WIDE - 3).toFixed(1), y: 1, width: width.toFixed(1), height: HIGH - 2, fill: COLORS[lane.cause] || 'var(--warn)',
        class: loss.exact === false ? 'vague' : null }, ig.svg('title', {}, view.text.lost(loss) + ' lost, ' + ig.fmt.clock(loss.from) + ' to ' + ig.fmt.clock(loss.to)));
    });
    const words = (lane.node || 'no node named') + ', ' + view.text.cause(lane.cause) + ': ' + amount(lane) + ' lost in ' + ig.fmt.count(lane.losses.length) + (lane.losses.length === 1 ? ' record' : ' records');
    return ig.svg('svg', { viewBox: '0 0 ' + WIDE + ' ' + HIGH, preserveAspectRatio: 'none', role: 'img', 'aria-label': words }, bars);
  }

  function nodeLabel(name, coverage) {
    const known = (coverage || []).find((one) => one.node === name);
    const [css, words] = known && !core.ended() ? DOTS[known.state] || DOTS.ended : [null, ''];
    const title = [name, words, known && known.reason].filter(Boolean).join(' · ');
    return el('span', { class: 'lanes-node', title: title },
      css === null ? null : el('span', { class: ['dot', css], role: 'img', 'aria-label': words }), el('span', { class: 'ell' }, name || '–'));
  }

  function axis(range) {
    const day = range.to - range.from > 20 * 3600e3;
    const at = [0, 0.25, 0.5, 0.75, 1].map((part) => range.from + (range.to - range.from) * part);
    return el('div', { class: 'lanes-axis' }, at.map((when) => el('span', {}, day ? ig.fmt.datetime(when).slice(5, 16) : ig.fmt.clock(when))));
  }

  /* The lanes of these loss records, null when there is nothing to place. */
  view.lanes = function (losses, session) {
    if (!losses.length) return null;
    const range = span(session, losses), all = group(losses), shown = all.slice(0, MOST);
    const grid = el('div', { class: 'lanes-grid' });
    let node = null;
    for (const lane of shown) {
      grid.append(lane.node === node ? el('span', { class: 'lanes-node' }) : nodeLabel(lane.node, session.coverage),
        el('span', { class: 'lanes-cause' }, view.text.cause(lane.cause)), draw(lane, range), el('span', { class: 'lanes-n' }, amount(lane)));
      node = lane.node;
    }
    grid.append(axis(range));
    if (all.length > shown.length) grid.append(el('span', { class: 'lanes-more' }, ig.fmt.count(all.length - shown.length) + ' more lanes, of nodes that lost less, are in the table only.'));
    return el('section', { class: 'lanes', 'aria-label': 'Losses by node and cause over time' }, grid);
  };

  /* ---------------------------------------------------------------- coverage in the header */

  /* What a number such as 2/3 means: the nodes that are missing first, with the reason. */
  view.coverageText = function (coverage) {
    const missing = coverage.filter((one) => one.state !== 'connected');
    const there = coverage.filter((one) => one.state === 'connected');
    const word = (one) => (DOTS[one.state] || DOTS.ended)[1];
    const line = (one) => one.node + ': ' + word(one) + (one.since ? ' for ' + ig.fmt.age(one.since) : '') + (one.reason ? ' (' + one.reason + ')' : '');
    const lines = missing.slice(0, 20).map(line);
    if (missing.length > 20) lines.push(ig.fmt.count(missing.length - 20) + ' more without connection');
    if (there.length) lines.push((lines.length ? 'Connected: ' : '') + there.slice(0, 20).map((one) => one.node).join(', ') + (there.length > 20 ? ' and ' + ig.fmt.count(there.length - 20) + ' more' : ''));
    return lines.join('\n');
  };

  function paint(session) {
    const stats = [...ig.$('session-stats').children];
    const box = stats.find((node) => node.lastChild && node.lastChild.textContent === 'nodes');
    if (!box) return;
    const words = session.coverage && session.coverage.length ? view.coverageText(session.coverage) : '';
    if (box.title !== words) box.title = words;
  }
  const differs = (a, b) => a && b && (a.connected !== b.connected || a.expected !== b.expected);
  /* The names come with the whole session, which is asked for at most once a second or so. */
  let again = 0;
  function catchUp() {
    clearTimeout(again);
    if (!core.session || !core.live || !differs(core.live.nodes, core.session.nodes)) return;
    core.refresh();
    again = setTimeout(catchUp, 700);
  }

  ig.ready(() => {
    core.on('session', paint);
    core.on('frame', catchUp);
  });
})();
