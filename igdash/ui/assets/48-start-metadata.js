/* Whose word the form's parameters are. The catalogue's are there at once; the environment is asked
   behind, for minutes if need be, and its own take their place under what is typed. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const WAIT_S = 10; // for one answer of the server
  const AGAIN_MS = 1500;
  const SOON_MS = 300; // a quick answer needs no word of waiting

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  /* `environment()` names it, `active()` tells whether the form is looked at, `told(answer)` gets
     each answer: a gadget with described_by, reason, pending. */
  function follow(name, { environment, active, told }) {
    const note = ig.el('p', { class: 'start-by', role: 'status' });
    let turn = 0;
    let settled = '';

    function say(kind, words) {
      const wait = kind === 'wait' ? ig.el('span', { class: 'dot wait' }) : ig.icon(kind);
      if (note.textContent === words) return;
      note.replaceChildren(wait, ig.el('span', {}, words));
      note.classList.toggle('warn', kind === 'warn');
    }

    function show(answer, where) {
      if (answer.described_by === 'environment') say('check', 'As ' + where + ' itself describes them.');
      else if (answer.pending) say('wait', 'From the catalogue; ' + answer.reason + '. You can go on typing.');
      else if (answer.reason) say('warn', 'From the catalogue: ' + answer.reason + '.');
      else say('info', 'As in igdash’s catalogue.');
    }

    async function ask(where) {
      const path = '/api/gadgets/' + encodeURIComponent(name) + '?wait=' + WAIT_S +
        '&environment=' + encodeURIComponent(where);
      try {
        return await ig.api(path);
      } catch (error) {
        return { described_by: 'catalogue', reason: error.message.replace(/\.$/, '') };
      }
    }

    async function run() {
      const where = environment();
      if (!where || where === settled) return;
      const mine = ++turn;
      settled = '';
      const soon = setTimeout(() => mine === turn && say('wait', 'Asking ' + where + ' …'), SOON_MS);
      for (;;) {
        const answer = await ask(where);
        clearTimeout(soon);
        if (mine !== turn) return;
        show(answer, where);
        told(answer);
        if (!answer.pending) {
          if (answer.described_by === 'environment') settled = where;
          return;
        }
        await pause(AGAIN_MS);
        if (mine !== turn || !active()) return;
      }
    }

    return { note: note, run: run, end: () => turn++ };
  }

  /* Ask for an image reference; answers it once the server allows it, null when nobody wants to. */
  function image(environment, current) {
    const input = ig.el('input', { type: 'text', class: 'input mono', id: 'start-image', spellcheck: 'false',
      autocomplete: 'off', autocapitalize: 'off', maxlength: '400', value: current,
      placeholder: 'ghcr.io/inspektor-gadget/gadget/trace_tcp:latest', 'aria-describedby': 'start-image-wrong' });
    const wrong = ig.el('p', { class: 'wrong', id: 'start-image-wrong', role: 'alert' });
    const use = ig.el('button', { type: 'submit', class: 'btn primary' }, 'Use this image');
    return new Promise((done) => {
      let answer = null;
      const form = ig.el('form', {}, ig.el('div', { class: 'body start-image' },
        ig.el('label', { for: 'start-image' }, 'Image reference'), input, wrong,
        ig.el('p', { class: 'muted' }, 'An image runs in the kernels of the nodes, as root: only those that the setting gadgets.allowed_images names are accepted.')),
      ig.el('div', { class: 'f' }, ig.el('button', { type: 'button', class: 'btn', on: { click: () => node.close() } }, 'Cancel'), use));
      const node = ig.dialog({ class: 'dlg start-dlg' }, ig.el('h2', {}, 'Run another image'), form);
      node.addEventListener('close', () => done(answer));
      form.addEventListener('submit', async (event) => {
        event.preventDefault();
        const text = input.value.trim();
        use.classList.add('busy');
        const why = await refusal(text, environment);
        use.classList.remove('busy');
        wrong.textContent = why;
        if (why) { input.setAttribute('aria-invalid', 'true'); input.focus(); return; }
        answer = text;
        node.close();
      });
      input.focus();
      input.select();
    });
  }

  async function refusal(text, environment) {
    if (!text.includes('/')) return 'A reference names its registry, such as ghcr.io/inspektor-gadget/gadget/trace_tcp:latest.';
    try {
      const body = { gadget: text, environment: environment };
      return (await ig.api('/api/check', { method: 'POST', body: body })).problems.gadget || '';
    } catch (error) {
      return error.message;
    }
  }

  ig.startMetadata = { follow, image };
})();
