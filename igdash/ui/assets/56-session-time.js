/* Jump to a moment: `g t`, then a time as people write it. The reading of it is shown before anything
   moves. */
(function () {
  'use strict';
  const ig = window.igdash;
  const view = ig.session;
  const core = view.core;
  const UNITS = { s: 1000, m: 60000, h: 3600000, d: 86400000 };

  /* `14:02`, `14:02:11.5`, `2026-11-25 14:02`, an RFC 3339 time, `-10m`, `5m ago`: milliseconds, or NaN.
     A time of day without a date is the last one before `until`. */
  function read(written, until) {
    const say = written.trim().toLowerCase();
    const ago = /^-?\s*(\d+(?:\.\d+)?)\s*([smhd])(?:\s*ago)?$/.exec(say);
    if (ago) return until - Number(ago[1]) * UNITS[ago[2]];
    const day = /^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?$/.exec(say);
    if (day) {
      const at = new Date(until);
      at.setHours(Number(day[1]), Number(day[2]), 0, 0);
      const [h, m, s] = [Number(day[1]), Number(day[2]), Number(day[3] || 0)];
      if (h > 23 || m > 59 || s >= 60) return NaN;
      const ms = at.getTime() + s * 1000;
      return ms > until ? ms - 86400000 : ms;
    }
    if (!/^\d{4}-\d{2}-\d{2}/.test(say)) return NaN;
    return Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(say) ? say + 'T00:00' : say.replace(' ', 'T').toUpperCase());
  }
  view.readTime = read;

  function ask() {
    if (!core.session || core.problem) return;
    if (core.tab !== 'events') core.showTab('events');
    const until = core.ended() && core.session.last_event ? Date.parse(core.session.last_event) : Date.now();
    const input = ig.el('input', { class: 'input', type: 'text', placeholder: '14:02:11   -10m   2026-11-25 14:02', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Time', 'aria-describedby': 's-when-read' });
    const out = ig.el('output', { id: 's-when-read' }, 'A time of day, how long ago, or date and time.');
    const go = ig.el('button', { class: 'btn primary', type: 'submit' }, 'Go there');
    const box = ig.el('form', { method: 'dialog' }, ig.el('h2', {}, 'Jump to time'), ig.el('div', { class: 'body' }, input, out), ig.el('div', { class: 'f' }, ig.el('button', { class: 'btn', type: 'button', on: { click: () => node.close() } }, 'Cancel'), go));
    const node = ig.dialog({ class: 'dlg s-when', 'aria-label': 'Jump to time' }, box);
    const wanted = () => read(input.value, until);
    input.addEventListener('input', () => {
      const ms = wanted(), bad = Number.isNaN(ms) && input.value.trim() !== '';
      out.classList.toggle('t-err', bad);
      ig.setText(out, bad ? 'Not a time that can be read' : Number.isNaN(ms) ? '' : ig.fmt.exactTime(new Date(ms).toISOString()).slice(0, 23));
    });
    box.addEventListener('submit', (event) => {
      event.preventDefault();
      const ms = wanted();
      if (Number.isNaN(ms)) {
        input.focus();
        return;
      }
      node.close();
      view.showTime(new Date(ms).toISOString()).catch((error) => { if (!core.isAbort(error)) ig.toast('Could not go there: ' + error.message, 'err'); });
    });
    input.focus();
  }
  view.askTime = ask;

  ig.ready(() => {
    const button = ig.$('session-when');
    if (button) button.addEventListener('click', ask);
    ig.key('g t', 'Jump to a time', ask, { view: 'session' });
  });
})();
