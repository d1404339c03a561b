/* Beside the form: the command lines that do the same without igdash, and the sessions of this
   gadget that already run, so that nobody starts the same thing twice without noticing. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const CHECK_DELAY = 150;
  const COPIED_MS = 1600;

  function copyButton(text) {
    const icon = ig.icon('copy');
    const words = ig.el('span', {}, 'Copy');
    const button = ig.el('button', { type: 'button', class: 'btn s ghost' }, icon, words);
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(text());
        icon.className = 'i i-check';
        words.textContent = 'Copied';
        setTimeout(() => {
          icon.className = 'i i-copy';
          words.textContent = 'Copy';
        }, COPIED_MS);
      } catch {
        ig.toast('The browser does not allow copying here; select the text instead.', 'warn');
      }
    });
    return button;
  }

  /* ---------------------------------------------------------------- commands */

  /* Break lines between words only, never after the dashes of a flag; the text stays the same. */
  function wrap(code, text) {
    code.replaceChildren(...text.split(/( +)/).map((word) =>
      word.trim() ? ig.el('span', {}, word) : word));
  }

  function line(command) {
    const code = ig.el('code', {});
    wrap(code, command.text);
    const button = copyButton(() => code.textContent);
    button.setAttribute('aria-label', 'Copy: ' + command.label);
    const label = ig.el('span', { class: 'label' }, command.label);
    return { node: ig.el('div', { class: 'start-cmd' },
      ig.el('div', { class: 'cap' }, label, button), ig.el('pre', { tabindex: '0' }, code)),
      label: label, code: code };
  }

  /* `ask()` gives {body, problems} as typed now; `told(problems)` gets the server's view of it. */
  function commands(ask, told) {
    const list = ig.el('div', {});
    const hint = ig.el('p', { class: 'help' }, 'Updates as you type.');
    const node = ig.el('section', { class: 'card start-card', 'aria-label': 'Equivalent commands' },
      ig.el('h2', {}, 'The same on the command line'), hint, list);
    let timer = 0;
    let asked = 0;
    let lines = [];

    function show(answer) {
      if (lines.length !== answer.length) {
        lines = answer.map(line);
        list.replaceChildren(...lines.map((each) => each.node));
      }
      answer.forEach((command, i) => {
        lines[i].label.textContent = command.label;
        if (lines[i].code.textContent !== command.text) wrap(lines[i].code, command.text);
      });
    }

    async function check() {
      const mine = ++asked;
      const { body, problems } = ask();
      node.classList.add('stale');
      try {
        const answer = await ig.api('/api/check', { method: 'POST', body: body });
        if (mine !== asked) return;
        show(answer.commands || []);
        hint.textContent = (answer.commands || []).length ? 'Updates as you type.'
          : 'Correct the marked values to see the command.';
        told(Object.assign({}, answer.problems, problems));
      } catch (error) {
        if (mine !== asked) return;
        hint.textContent = 'The command could not be made: ' + error.message;
        told(problems);
      }
      node.classList.remove('stale');
    }

    return {
      node: node,
      clear() {
        asked++;
        show([]);
      },
      /* Check soon; while typing goes on the clock starts again, and late answers are ignored. */
      soon() {
        clearTimeout(timer);
        asked++;
        timer = setTimeout(check, CHECK_DELAY);
      },
      now: check,
    };
  }

  /* ---------------------------------------------------------------- already running */

  function item(session) {
    const where = ig.target(session.target);
    const count = ig.el('span', { class: 'n mono' });
    const dot = ig.el('span', { class: 'dot' });
    const link = ig.el('a', { class: 'start-run', href: '/sessions/' + session.id,
      title: where + ', ' + session.environment },
    dot, ig.el('span', { class: 'ell' }, session.name ? session.name + ' · ' + where : where),
    ig.el('span', { class: 'faint nowrap' }, ig.fmt.age(session.started || session.created)), count);
    return { node: ig.el('li', {}, link), count: count, dot: dot };
  }

  /* The running sessions of one gadget, as the whole page knows them (15-running.js). */
  function running(gadget) {
    const head = ig.el('h2', {});
    const list = ig.el('ul', {});
    const node = ig.el('section', { class: 'card start-card', 'aria-label': 'Already running',
      hidden: true }, head, list);
    const items = new Map();

    function numbers() {
      for (const [id, each] of items) {
        const session = ig.running.get(id);
        if (!session) continue;
        ig.setText(each.count, ig.fmt.count(session.events));
        each.dot.className = Number(session.lost) > 0 ? 'dot warn' : 'dot';
      }
    }

    function show() {
      items.clear();
      for (const session of ig.running.of(gadget)) items.set(session.id, item(session));
      list.replaceChildren(...[...items.values()].map((each) => each.node));
      head.textContent = ig.fmt.count(items.size) + ' already running';
      node.hidden = items.size === 0;
      numbers();
    }

    const ends = [ig.running.onSet(show), ig.running.onTick(numbers)];
    return { node: node, dispose: () => ends.forEach((end) => end()) };
  }

  const DELIVERY = {
    stream: 'Gives one event each time something happens.',
    interval: 'Gives a table of rows at every interval; the session keeps all of them.',
    once: 'Gives one table of rows at the start, then nothing more.',
    at_stop: 'Gives its result when it is stopped.',
  };

  /* What people should know of a gadget before they start it. */
  function about(gadget) {
    const lines = [DELIVERY[gadget.delivery], ...(gadget.notes || [])].filter(Boolean);
    return ig.el('section', { class: 'card start-card start-about', 'aria-label': 'Good to know' },
      ig.el('h2', {}, 'Good to know'), ig.el('ul', {}, lines.map((line) => ig.el('li', {}, line))));
  }

  ig.startSide = { commands, running, about };
})();
