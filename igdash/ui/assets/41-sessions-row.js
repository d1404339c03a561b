/* One row of the sessions table: how a session's values become cells, and how a cell changes in
   place. Rows are built once and only texts are written afterwards, so that nothing moves under
   the reader's pointer while five sessions count. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const ENDED = new Set(['stopped', 'interrupted', 'failed']);
  const HOLD_MS = 4000;

  const COLUMNS = [
    { key: 'state', label: 'Status', sort: 'state', first: 'asc' },
    { key: 'gadget', label: 'Gadget', sort: 'gadget', first: 'asc' },
    { key: 'namespace', label: 'Namespace', sort: 'namespace', first: 'asc' },
    { key: 'pod', label: 'Pod', sort: 'pod', first: 'asc' },
    { key: 'started', label: 'Started', sort: 'started', first: 'desc' },
    { key: 'events', label: 'Events', sort: 'events', first: 'desc', num: true },
    { key: 'spark', label: 'Last 10 min' },
    { key: 'rate', label: 'Rate', sort: 'rate', first: 'desc', num: true },
    { key: 'lost', label: 'Lost', sort: 'lost', first: 'desc', num: true },
    { key: 'bytes', label: 'Size', sort: 'bytes', first: 'desc', num: true },
    { key: 'actions', label: 'Actions', num: true },
  ];

  const ended = (session) => ENDED.has(session.state);

  const write = ig.setText;

  function dotClass(session) {
    if (session.state === 'failed') return 'dot err';
    if (session.state === 'interrupted') return 'dot warn flat';
    if (session.state === 'stopped') return 'dot stop';
    if (session.state === 'starting' || session.state === 'stopping') return 'dot wait';
    return Number(session.lost) > 0 ? 'dot warn' : 'dot';
  }

  function namespaceText(target) {
    const namespace = (target && target.namespace) || '';
    if (!namespace) return { text: 'all', quiet: true, title: 'All namespaces' };
    if (/^(![^,]+)(,![^,]+)*$/.test(namespace)) {
      const left = namespace.replaceAll('!', '').replaceAll(',', ', ');
      return { text: 'all but ' + left, quiet: true, title: 'All namespaces except ' + left };
    }
    return { text: namespace, quiet: false, title: namespace };
  }

  function podText(target) {
    const t = target || {};
    return { text: t.pod || '*', quiet: !t.pod, more: ig.targetRest(t).join(' · ') };
  }

  const where = (target) => ig.target(target);

  /* "Trace TCP (demo / nginx-*)": how a session is called in sentences. */
  function describe(session) {
    const name = session.title || session.gadget;
    return name + (session.name ? ' “' + session.name + '”' : '') + ' (' + where(session.target) + ')';
  }

  function drawSpark(row, values) {
    const total = values.reduce((sum, v) => sum + Number(v), 0);
    const svg = row.parts.spark;
    ig.setSpark(svg, values);
    svg.setAttribute('aria-label', ig.fmt.count(total) + ' events in the last 10 minutes');
    svg.classList.toggle('none', total === 0);
  }

  const link = (session, label, attrs) =>
    ig.el('a', Object.assign({ href: '/sessions/' + session.id }, attrs), label);

  function icon(name) {
    const entry = ig.gadget(name);
    return ig.el('span', { class: 'ico s', 'aria-hidden': 'true',
      style: { '--k': 'var(' + entry.color + ')' } }, entry.letters);
  }

  function button(label, cls, name, act) {
    const b = ig.el('button', { type: 'button', class: cls, 'aria-label': name }, label);
    b.dataset.act = act;
    return b;
  }

  function cell(column, ...children) {
    const cls = 'c-' + column.key + (column.num ? ' num' : '');
    return ig.el('td', { class: cls, role: 'cell', 'data-label': column.label }, ...children);
  }

  /* Build the row; returns {id, tr, session, parts} that `update` writes to. */
  function build(session) {
    const title = session.title || session.gadget;
    const parts = {
      check: ig.el('input', { type: 'checkbox', 'aria-label': 'Select ' + describe(session) }),
      dot: ig.el('span', { class: 'dot' }),
      state: ig.el('span', { class: 'word' }),
      icon: icon(session.gadget),
      title: link(session, title, { class: 'title', tabindex: '-1' }),
      name: ig.el('span', { class: 'name' }),
      namespace: ig.el('span', {}),
      pod: ig.el('span', {}),
      more: ig.el('span', { class: 'more' }),
      started: ig.el('time', {}),
      events: ig.el('span', {}),
      spark: ig.spark([], { label: ' ' }),
      rate: ig.el('span', {}),
      lost: ig.el('span', {}),
      bytes: ig.el('span', {}),
      actions: ig.el('span', { class: 'acts' }),
    };
    const inside = {
      state: [parts.dot, parts.state],
      gadget: [parts.icon, parts.title, parts.name],
      pod: [parts.pod, parts.more],
    };
    const tr = ig.el('tr', { role: 'row', tabindex: '-1', 'data-id': session.id });
    tr.append(ig.el('td', { class: 'c-check', role: 'cell' }, parts.check));
    for (const column of COLUMNS) {
      tr.append(cell(column, ...(inside[column.key] || [parts[column.key]])));
    }
    const row = { id: session.id, tr: tr, parts: parts, session: null, actionsFor: '', holdUntil: 0 };
    writeFixed(row, session);
    update(row, session);
    writeAge(row);
    return row;
  }

  /* What never changes in a session's life. */
  function writeFixed(row, session) {
    const parts = row.parts;
    write(parts.name, session.name || '');
    parts.name.title = session.name || '';
    parts.title.title = session.gadget + ' in ' + session.environment + ' · ' + session.id;
    const namespace = namespaceText(session.target);
    write(parts.namespace, namespace.text);
    parts.namespace.title = namespace.title;
    parts.namespace.classList.toggle('quiet', namespace.quiet);
    const pod = podText(session.target);
    write(parts.pod, pod.text);
    parts.pod.classList.toggle('quiet', pod.quiet);
    parts.pod.title = pod.quiet ? 'All pods' : pod.text;
    write(parts.more, pod.more);
    parts.more.title = pod.more;
  }

  function writeActions(row, session) {
    const kind = ended(session) ? 'ended' : session.state;
    if (row.actionsFor === kind) return;
    row.actionsFor = kind;
    const name = describe(session);
    const second = ended(session) && session.environment === 'import'
      ? ig.el('span', { class: 'imp-mark' }, 'Imported')
      : ended(session)
      ? button('Run again', 'btn s', 'Run again: ' + name, 'again')
      : button('Stop', 'btn s danger', 'Stop ' + name, 'stop');
    if (session.state === 'stopping') {
      second.disabled = true;
      write(second, 'Stopping…');
    }
    const menu = button(ig.icon('more'), 'btn s ghost icon', 'More actions for ' + name, 'menu');
    menu.setAttribute('aria-haspopup', 'menu');
    row.parts.actions.replaceChildren(
      link(session, 'View', { class: 'btn s', 'aria-label': 'View ' + name }),
      second,
      menu,
    );
  }

  function rateText(session) {
    return ended(session) ? '' : ig.fmt.rate(session.rate);
  }

  /* Write what the session says now; `session` may be a part of one (a live frame). */
  function update(row, session) {
    const now = Object.assign({}, row.session, session);
    const parts = row.parts;
    if (now.state === 'running' && Date.now() < row.holdUntil) now.state = 'stopping';
    row.session = now;
    if (parts.dot.className !== dotClass(now)) parts.dot.className = dotClass(now);
    write(parts.state, now.state);
    parts.state.title = now.reason || '';
    write(parts.events, ig.fmt.count(now.events));
    write(parts.rate, rateText(now));
    write(parts.lost, Number(now.lost) > 0 ? ig.fmt.count(now.lost) : '');
    write(parts.bytes, ig.fmt.bytes(now.bytes));
    parts.spark.classList.toggle('ended', ended(now));
    row.tr.classList.toggle('ended', ended(now));
    if (session.spark) drawSpark(row, session.spark);
    writeActions(row, now);
  }

  /* Show `stopping` (or take it back) before the server says so; frames already under way that
     still say `running` do not undo it. */
  function hold(row, state) {
    row.holdUntil = state === 'stopping' ? Date.now() + HOLD_MS : 0;
    update(row, { state: state });
  }

  function writeAge(row) {
    const at = row.session.started || row.session.created;
    write(row.parts.started, at ? ig.fmt.ago(at) : '');
    if (at && row.parts.started.dateTime !== at) {
      row.parts.started.dateTime = at;
      row.parts.started.title = ig.fmt.datetime(at);
    }
  }

  ig.sessionsRow = { COLUMNS, icon, build, update, hold, writeAge, describe, where, ended, link };
})();
