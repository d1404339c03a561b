/* What the palette can do in the session on screen. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const here = () => core.shown && core.session !== null && core.problem === null;
  const live = () => here() && !core.ended();
  const inEvents = () => here() && core.tab === 'events';
  const asked = () => here() && Boolean(core.asked.filter || core.asked.from || core.asked.to || core.asked.sort || core.asked.split);

  const download = (format) => ig.exports.go(core.session, core.where({ format: format }));

  ig.ready(() => {
    const offer = (name, fn, more) => ig.action(name, fn, { group: 'This session', when: here, ...more });
    offer('Pause or follow', () => view.grid.toggle(), { icon: 'pause', key: 'p', when: () => inEvents() && live() });
    offer('Filter', () => { if (core.tab !== 'events') core.showTab('events'); if (view.filter && view.filter.focus) view.filter.focus(); }, { icon: 'search', words: 'find where', key: '/' });
    offer('Jump to a time', view.askTime, { icon: 'clock', words: 'go moment date', key: 'g t' });
    offer('Show everything: no filter, range, order or split', () => core.ask({ filter: null, from: null, to: null, sort: null, split: null }), { icon: 'refresh', words: 'reset clear all times', when: asked });
    offer('Choose columns', () => ig.$('session-columns').click(), { icon: 'columns', words: 'fields hide pin', when: inEvents });
    offer('Columns as at first', () => view.arrange.choose(null), { icon: 'columns', words: 'reset default', when: () => inEvents() && Boolean(view.grid.state.chosen) });
    for (const [tab, name] of [['events', 'Events'], ['losses', 'Losses'], ['log', 'Log'], ['info', 'Info']]) {
      offer('Show ' + name.toLowerCase(), () => core.showTab(tab), { icon: 'right', words: 'tab ' + name, when: () => here() && core.tab !== tab });
    }
    offer('Copy a link to this', () => view.copy(location.href, 'The link'), { icon: 'link', words: 'share url address' });
    offer('Export as JSONL', () => download('jsonl'), { icon: 'download', words: 'download save' });
    offer('Export as CSV', () => download('csv'), { icon: 'download', words: 'download save spreadsheet' });
    offer('Export as a report', () => download('html'), { icon: 'download', words: 'download save html page print' });
    offer('Stop collecting', () => ig.$('session-stop').click(), { icon: 'stop', words: 'end', when: live });
    offer('Run again', () => ig.$('session-again').click(), { icon: 'play', words: 'restart', when: () => here() && core.ended() && core.session.environment !== 'import' });
  });
})();
