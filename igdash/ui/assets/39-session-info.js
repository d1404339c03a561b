/* The facts of a session: what was asked for, what runs, where, since when, how much. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const el = ig.el;

  /* An argv as a line for a shell: quoted where a shell would stumble. */
  view.shellLine = function (argv) {
    return argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replace(/'/g, "'\\''") + "'")).join(' ');
  };

  function section(title, rows) {
    const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== '');
    if (shown.length === 0) return null;
    return el('section', { class: 's-facts card' }, el('h2', {}, title), el('dl', {}, shown.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))));
  }

  function copied(value, what) {
    return el('span', { class: 's-copied' }, el('span', {}, value), el('button', { class: 's-copy', type: 'button', 'aria-label': 'Copy ' + what, title: 'Copy', on: { click: () => view.copy(value, what) } }, ig.icon('copy')));
  }

  const target = (t) => [['Namespace', t.namespace || 'all'], ['Pod', t.pod || 'all'], ['Container', t.container], ['Node', t.node], ['Selector', t.selector]];

  function stopAfter(stop) {
    const parts = [];
    if (stop && stop.seconds) parts.push('after ' + ig.fmt.duration(stop.seconds * 1000));
    if (stop && stop.events) parts.push('after ' + ig.fmt.count(stop.events) + ' events');
    return parts.join(' or ') || 'when somebody stops it';
  }

  /* The gadget that runs by itself: this session's own, or somebody else's that it reads. */
  function instance(session, info) {
    if (session.instance) return [['Id', copied(session.instance, 'Instance id')], ['Made by', 'somebody else; this session only reads it'], ['At the stop', 'goes on running']];
    if (!session.headless) return [];
    const kept = info.kept === 'true';
    return [['Name', copied('igdash-' + session.id, 'Instance name')], ['Made by', 'this session'],
      ['At the stop', kept ? 'was left running' : core.ended() ? 'was removed' : 'is removed, unless you leave it running'],
      ['On the nodes', kept ? el('a', { class: 't-accent', href: '/environments' }, 'see the environment’s instances') : null]];
  }

  function paint() {
    const session = core.session;
    if (!session || core.tab !== 'info') return;
    const gadget = ig.gadget(session.gadget);
    const line = view.shellLine(session.command || []);
    const nodes = session.nodes || {};
    const command = line === '' ? null : el('section', { class: 's-facts s-wide card' }, el('h2', {}, 'Command'),
      el('pre', { class: 's-command', tabindex: '0', 'aria-label': 'Command line' }, line), el('button', { class: 'btn s', type: 'button', on: { click: () => view.copy(line, 'Command line') } }, ig.icon('copy'), 'Copy'));
    const when = (moment) => (moment ? el('span', { title: moment }, ig.fmt.exactTime(moment)) : null);
    const info = Object.entries(session.info || {}).filter(([name]) => name !== 'kept');
    const params = Object.entries(session.params || {});
    ig.$('session-info').replaceChildren(el('div', { class: 's-info' }, ...[
      section('Session', [['Id', copied(session.id, 'Session id')], ['Name', session.name], ['Gadget', session.gadget + ' (' + gadget.title + ')'], ['State', session.state], ['Reason', session.reason], ['Ends', stopAfter(session.stop_after)]]),
      section('Target', [...target(session.target || {}), ['Environment', session.environment], ['Nodes', nodes.expected > 0 ? nodes.connected + ' of ' + nodes.expected + ' connected' : null]]),
      section('Headless instance', instance(session, session.info || {})),
      section('Times', [['Created', when(session.created)], ['Started', when(session.started)], ['First event', when(session.first_event)], ['Newest event', when(session.last_event)], ['Stopped', when(session.stopped)]]),
      section('Counts', [['Events stored', ig.fmt.count(session.events)], ['Events received', ig.fmt.count(session.received)], ['Lost', view.lostText(session)], ['Malformed lines', ig.fmt.count(session.malformed)], ['Log lines', ig.fmt.count(session.logs)],
        ['Ticks', core.isArray() ? ig.fmt.count(session.ticks) : null], ['Payload', ig.fmt.bytes(session.bytes) + ' (' + ig.fmt.count(session.bytes) + ' bytes)']]),
      section('Parameters', params.length > 0 ? params : [['Values', 'all at their defaults']]),
      section('Facts', info),
      command,
    ].filter(Boolean)));
  }

  ig.ready(() => {
    core.on('open', () => ig.$('session-info').replaceChildren());
    core.on('session', paint);
    core.on('ready', paint);
    /* Frames do not carry all of these numbers. */
    core.on('frame', () => { if (core.tab === 'info') core.refresh(); });
    core.on('tab', paint);
  });
})();
