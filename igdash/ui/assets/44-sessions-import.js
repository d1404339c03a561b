/* Import in the sessions view: a button, files dropped anywhere on the view, and a line per file that
   says how far it is, what became of it and where its session is. The server reads on whatever this
   page does; a page that comes later finds imports under way by asking. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const POLL_MS = 500, RETRY_MS = 1500;
  const KINDS = '.jsonl,.json,.ndjson,.log,.txt,.gz,.zst,.db,.sqlite';
  const NAMES = { capture: 'capture', events: 'igdash export', desktop: 'Desktop session' };

  const state = { lines: new Map(), queue: [], busy: false, timer: 0, box: null, changed: () => {} };
  const el = (...parts) => ig.el(...parts);

  /* ---------------------------------------------------------------- a line per file */

  function line(name) {
    const parts = {
      name: el('b', { class: 'ell' }, name), text: el('span', { class: 'imp-text muted' }),
      bar: el('progress', { max: '100', value: '0', 'aria-label': 'Import of ' + name }),
      links: el('span', { class: 'imp-links' }),
      stop: el('button', { class: 'btn s', type: 'button', hidden: true }, 'Stop'),
      close: el('button', { class: 'btn ghost s icon', type: 'button', 'aria-label': 'Dismiss ' + name, hidden: true }, ig.icon('close')),
    };
    const node = el('div', { class: 'imp-line' }, ig.icon('list'),
      el('div', { class: 'imp-what' }, el('div', { class: 'imp-head' }, parts.name, parts.text), parts.bar),
      parts.links, parts.stop, parts.close);
    parts.close.addEventListener('click', () => {
      node.remove();
      for (const [id, one] of state.lines) if (one.node === node) state.lines.set(id, null);
      state.box.hidden = state.box.children.length === 0;
    });
    state.box.append(node);
    state.box.hidden = false;
    return Object.assign(parts, { node });
  }

  function say(one, text, share, kind) {
    one.text.textContent = text;
    if (share === null) one.bar.removeAttribute('value');
    else one.bar.value = share;
    one.node.classList.toggle('err', kind === 'err');
    one.node.classList.toggle('ok', kind === 'ok');
  }

  function failed(one, why) {
    say(one, why, 100, 'err');
    over(one);
    one.text.setAttribute('role', 'alert');
  }

  function over(one) {
    one.bar.hidden = true;
    one.stop.hidden = true;
    one.close.hidden = false;
  }

  /* ---------------------------------------------------------------- sending */

  function send(file, given, one) {
    return new Promise((resolve, reject) => {
      const query = new URLSearchParams({ file: file.name.slice(0, 255) });
      if (given.name) query.set('name', given.name);
      if (given.gadget) query.set('gadget', given.gadget);
      const request = new XMLHttpRequest();
      request.open('POST', '/api/import?' + query);
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      request.upload.addEventListener('progress', (e) => {
        const share = e.total ? (100 * e.loaded) / e.total : 0;
        say(one, 'sending ' + ig.fmt.bytes(e.loaded) + ' of ' + ig.fmt.bytes(e.total), share / 2);
      });
      request.addEventListener('load', () => {
        let answer = null;
        try { answer = JSON.parse(request.responseText); } catch { answer = null; }
        if (request.status === 201 && answer) resolve(answer);
        else reject(new Error(reason(answer, request.status)));
      });
      request.addEventListener('error', () => reject(new Error('the connection broke')));
      request.addEventListener('abort', () => reject(new Error('stopped')));
      one.stop.hidden = false;
      one.stop.onclick = () => request.abort();
      request.send(file);
    });
  }

  function reason(answer, status) {
    const problems = answer && answer.problems ? Object.values(answer.problems) : [];
    return problems.join('; ') || (answer && answer.detail) || 'the server answered ' + status;
  }

  /* One file after the other: two at once would only share the same disk. */
  async function work() {
    if (state.busy) return;
    state.busy = true;
    while (state.queue.length) {
      const { file, given, one } = state.queue.shift();
      try {
        const answer = await send(file, given, one);
        state.lines.set(answer.id, one);
        paint(answer);
        poll();
      } catch (error) {
        failed(one, 'not imported: ' + error.message);
      }
    }
    state.busy = false;
  }

  function take(files, given) {
    for (const file of files) {
      const one = line(file.name);
      say(one, 'waiting', 0);
      state.queue.push({ file, given: given || {}, one });
    }
    work();
  }

  /* ---------------------------------------------------------------- following */

  function paint(status) {
    let one = state.lines.get(status.id);
    if (one === null) return;
    if (!one) {
      one = line(status.file);
      state.lines.set(status.id, one);
    }
    const lines = ig.fmt.count(status.lines) + (status.format === 'desktop' ? ' rows' : ' lines');
    const kind = NAMES[status.format] || status.format;
    one.links.replaceChildren(...status.sessions.slice(0, 8).map((id, i) =>
      el('a', { class: 'btn s', href: '/sessions/' + id }, status.sessions.length > 1 ? 'View ' + (i + 1) : 'View')));
    if (status.state === 'running') {
      say(one, kind + ', ' + lines + ' read', 50 + (50 * status.read) / Math.max(1, status.size));
      one.stop.hidden = false;
      one.stop.onclick = () => stop(status, one);
      return;
    }
    const done = status.state === 'done';
    const text = done ? kind + ', ' + lines + ', ' + ig.fmt.bytes(status.size)
      : status.state === 'stopped' ? status.reason + '; what was read is kept' : status.reason;
    say(one, text, 100, done ? 'ok' : 'err');
    over(one);
    state.changed();
  }

  async function stop(status, one) {
    one.stop.disabled = true;
    try {
      await ig.api('/api/sessions/' + status.sessions[status.sessions.length - 1] + '/stop', { method: 'POST' });
    } catch (error) {
      ig.toast('Could not stop: ' + error.message, 'err');
    }
    one.stop.disabled = false;
  }

  async function poll() {
    clearTimeout(state.timer);
    try {
      const answer = await ig.api('/api/imports');
      let running = false;
      for (const status of answer.imports) {
        const known = state.lines.get(status.id);
        if (status.state === 'running') running = true;
        if (status.state === 'running' || (known && known.close.hidden)) paint(status);
      }
      if (running) state.timer = setTimeout(poll, POLL_MS);
    } catch {
      /* Without an answer nothing is known: those that were under way are asked for again. */
      const open = [...state.lines.values()].some((one) => one && one.close.hidden);
      if (open) state.timer = setTimeout(poll, RETRY_MS);
    }
  }

  /* ---------------------------------------------------------------- choosing */

  function choose() {
    const input = el('input', { type: 'file', multiple: true, accept: KINDS, class: 'sr-only', id: 'import-file' });
    const drop = el('label', { class: 'imp-drop', for: 'import-file' }, ig.icon('upload', true),
      el('b', {}, 'Drop files here, or choose'), el('span', { class: 'muted' },
        'What ig run -o json or kubectl gadget run -o json printed, a JSONL export of igdash, or a session file of Inspektor Gadget Desktop. Text may be packed with gzip or zstd.'));
    const name = el('input', { class: 'input', id: 'import-name', maxlength: '200', placeholder: 'none', autocomplete: 'off' });
    const gadget = el('select', { class: 'form-select', id: 'import-gadget' },
      el('option', { value: '' }, 'As the events tell'),
      ...ig.gadgets().map((g) => el('option', { value: g.name }, g.title + ' (' + g.name + ')')));
    const cancel = el('button', { class: 'btn', type: 'button' }, 'Cancel');
    const node = ig.dialog({ class: 'dlg imp-dlg' }, el('h2', {}, 'Import a capture'),
      el('p', {}, 'It becomes an ended session like any other. CSV cannot be imported.'),
      el('div', { class: 'body' }, input, drop, el('div', { class: 'imp-given' },
        el('div', {}, el('label', { for: 'import-name' }, 'Name'), name),
        el('div', {}, el('label', { for: 'import-gadget' }, 'Gadget'), gadget))),
      el('div', { class: 'f' }, cancel));
    const chosen = (files) => {
      if (!files.length) return;
      take([...files], { name: name.value.trim(), gadget: gadget.value });
      node.close();
    };
    cancel.addEventListener('click', () => node.close());
    input.addEventListener('change', () => chosen(input.files));
    dropping(drop, chosen);
    input.focus();
  }

  const files = (e) => e.dataTransfer && [...e.dataTransfer.types].includes('Files');

  /* A file dropped beside its place would take the place of the whole page. */
  function guard() {
    for (const kind of ['dragover', 'drop']) window.addEventListener(kind, (e) => { if (files(e)) e.preventDefault(); });
  }

  function dropping(node, chosen) {
    let depth = 0;
    const over = (on) => node.classList.toggle('imp-over', on);
    node.addEventListener('dragenter', (e) => { if (files(e)) { depth += 1; over(true); } });
    node.addEventListener('dragleave', () => { depth = Math.max(0, depth - 1); over(depth > 0); });
    node.addEventListener('dragover', (e) => { if (files(e)) e.preventDefault(); });
    node.addEventListener('drop', (e) => {
      depth = 0;
      over(false);
      if (!files(e)) return;
      e.preventDefault();
      e.stopPropagation();
      chosen(e.dataTransfer.files);
    });
  }

  /* Return the button and the box of lines; `changed` is called when an import is over. */
  function make(root, changed) {
    state.changed = changed;
    state.box = el('div', { class: 'imp-box', hidden: true, 'aria-label': 'Imports', role: 'region' });
    const button = el('button', { class: 'btn', type: 'button', id: 'sessions-import', 'aria-label': 'Import capture' }, ig.icon('upload'), el('span', {}, 'Import capture'));
    button.addEventListener('click', choose);
    dropping(root, (dropped) => take([...dropped]));
    guard();
    ig.onRoute('sessions', poll);
    if (ig.action) ig.action('Import a capture', () => { ig.nav('/sessions'); choose(); }, { icon: 'upload', words: 'upload file restore' });
    return { button, box: state.box };
  }

  ig.sessionsImport = { make };
})();
