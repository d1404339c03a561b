/* The fields of the start form. Each is {key, node, get, set, problem, focus}: `key` is the field's
   name in the REST body, so that a problem the server reports finds its place by itself. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const NUMERIC = /^u?int(8|16|32|64)?$/;
  let made = 0;

  const TYPE_WORDS = { '': 'text', string: 'text', bool: 'yes or no', '[]string': 'list, a,b,c' };
  const typeText = (param) =>
    param.one_of && param.one_of.length ? 'choice' : TYPE_WORDS[param.type] || param.type;

  /* The frame every field shares: label, control, what is wrong, what it is for. */
  function frame(key, label, control, more) {
    const id = control.id || 'start-f' + ++made;
    control.id = id;
    const wrong = ig.el('p', { class: 'wrong', id: id + '-wrong', hidden: true });
    const notes = (more.notes || []).filter(Boolean);
    const help = ig.el('p', { class: 'help', id: id + '-help', hidden: !notes.length }, ...notes);
    control.setAttribute('aria-describedby', help.id + ' ' + wrong.id);
    const caption = ig.el('label', { for: id }, label);
    const top = ig.el('div', { class: 'cap' }, caption, ...(more.aside || []));
    const node = ig.el('div', { class: 'start-field ' + (more.cls || ''), 'data-field': key },
      top, more.box || control, wrong, help);
    return {
      key: key,
      node: node,
      control: control,
      help: help,
      problem(text) {
        wrong.textContent = text || '';
        wrong.hidden = !text;
        node.classList.toggle('bad', Boolean(text));
        if (text) control.setAttribute('aria-invalid', 'true');
        else control.removeAttribute('aria-invalid');
      },
      focus() {
        const folded = node.closest('details');
        if (folded) folded.open = true;
        node.hidden = false;
        control.focus();
        node.scrollIntoView({ block: 'nearest' });
      },
    };
  }

  /* A text field; `options`: placeholder, mono, suggest() -> values, notes, aside, numeric. */
  function text(key, label, options) {
    const input = ig.el('input', { type: 'text', class: 'input' + (options.mono ? ' mono' : ''),
      placeholder: options.placeholder || '', autocomplete: 'off', spellcheck: 'false',
      autocapitalize: 'off' });
    if (options.numeric) input.inputMode = 'numeric';
    input.maxLength = options.most || 2000; // the API's bounds
    const box = options.suggest ? ig.startCombobox.attach(input, options.suggest) : input;
    const field = frame(key, label, input, Object.assign({}, options, { box: box }));
    field.get = () => input.value;
    field.set = (value) => (input.value = value);
    return field;
  }

  function select(key, label, choices, options) {
    const box = ig.el('select', { class: 'form-select' },
      ...choices.map(([value, words]) => ig.el('option', { value: value }, words)));
    const field = frame(key, label, box, options);
    field.get = () => box.value;
    field.set = (value) => {
      if (![...box.options].some((o) => o.value === value)) {
        box.append(ig.el('option', { value: value }, value));
      }
      box.value = value;
    };
    return field;
  }

  function toggle(key, label, options) {
    const input = ig.el('input', { type: 'checkbox', role: 'switch', class: 'start-switch' });
    const field = frame(key, label, input, Object.assign({ cls: 'switch' }, options));
    field.get = () => (input.checked ? 'true' : 'false');
    field.set = (value) => (input.checked = value === 'true');
    return field;
  }

  function defaultText(spec, normal) {
    if (spec.type === 'bool') return 'default ' + (normal === 'true' ? 'on' : 'off');
    return normal === '' || isChoice(spec) ? '' : 'default ' + normal;
  }

  /* The field of one parameter. `get` answers '' for "as the gadget has it". */
  function param(spec) {
    const label = spec.title || spec.name;
    const normal = spec.default || '';
    const shown = defaultText(spec, normal);
    const options = {
      aside: [ig.el('code', { title: '--' + spec.name }, '--' + spec.name),
        ig.el('span', { class: 'type' }, typeText(spec) + (spec.required ? ' · required' : ''))],
      notes: [spec.description, shown && ig.el('span', { class: ['normal', !spec.description && 'only'] }, shown)],
      mono: true, placeholder: normal, numeric: NUMERIC.test(spec.type || ''),
    };
    const field = build('params.' + spec.name, label, spec, options);
    const { get, set } = field;
    field.get = () => (get() === normal ? '' : get());
    field.set = (value) => set(value === undefined || value === '' ? unset(spec, normal) : value);
    field.spec = spec;
    field.set(undefined);
    return field;
  }

  const isChoice = (spec) => Boolean(spec.one_of && spec.one_of.length);
  const unset = (spec, normal) => (spec.type === 'bool' || isChoice(spec) ? normal : '');

  function build(key, label, spec, options) {
    if (isChoice(spec)) {
      const choices = spec.one_of.map((value) =>
        [value, value === spec.default ? value + ' (default)' : value]);
      if (!spec.one_of.includes(spec.default || '')) {
        choices.unshift([spec.default || '', (spec.default || '–') + ' (default)']);
      }
      return select(key, label, choices, options);
    }
    if (spec.type === 'bool') return toggle(key, label, options);
    return text(key, label, options);
  }

  /* Three ways to say which namespaces; the field's value is {scope, namespace}. */
  function namespaces(suggest, changed) {
    const name = 'start-scope-' + ++made;
    const these = text('target.namespace', 'Namespaces', { mono: true, suggest: suggest,
      placeholder: 'demo, production', notes: ['Several with commas; !name leaves one out.'] });
    these.control.setAttribute('aria-label', 'Only these namespaces');
    const choices = {
      others: 'All except IG’s own', all: 'All namespaces', these: 'Only these …' };
    const radios = {};
    const group = ig.el('div', { class: 'start-seg', role: 'radiogroup', 'aria-label': 'Namespaces' });
    const why = ig.el('p', { class: 'help' });
    for (const [value, words] of Object.entries(choices)) {
      radios[value] = ig.el('input', { type: 'radio', name: name, value: value });
      const tag = value === 'others' ? ig.el('span', { class: 'rec' }, 'recommended') : '';
      group.append(ig.el('label', {}, radios[value], ig.el('span', {}, words, tag)));
    }
    const node = ig.el('div', { class: 'start-field wide' },
      ig.el('div', { class: 'cap' }, ig.el('span', { class: 'label' }, 'Namespaces')),
      group, why, these.node);
    const scope = () => Object.keys(radios).find((key) => radios[key].checked);
    let usual = '';

    function show() {
      const own = usual.replace('!', '');
      these.node.hidden = scope() !== 'these';
      radios.others.parentNode.hidden = !usual && scope() !== 'others';
      why.textContent = {
        others: 'Leaves out the namespace “' + own + '”, where Inspektor Gadget itself runs.',
        all: own && 'Includes Inspektor Gadget watching itself in “' + own +
          '”: that alone makes 90–99.9 % of many gadgets’ events.',
        these: '',
      }[scope()];
      why.hidden = !why.textContent;
      why.classList.toggle('warn', scope() === 'all');
    }

    group.addEventListener('change', () => {
      show();
      changed();
      if (scope() === 'these') these.control.focus();
    });
    return Object.assign({}, these, {
      node: node,
      get: () => ({ scope: scope(), namespace: these.get() }),
      set(value) {
        radios[value.scope].checked = true;
        these.set(value.namespace);
        show();
      },
      /* Another environment: its usual target, chosen too unless the reader chose already. */
      usual(value, chosen) {
        const moved = usual !== value;
        usual = value;
        if (moved && !chosen && scope() !== 'these') radios[value ? 'others' : 'all'].checked = true;
        show();
      },
      problem(words) {
        if (words && scope() !== 'these') {
          why.hidden = false;
          why.textContent = words;
        }
        these.problem(words);
        why.classList.toggle('wrong', Boolean(words) && scope() !== 'these');
        if (!words && scope()) show();
      },
      focus() {
        if (scope() === 'these') these.focus();
        else radios[scope()].focus();
      },
    });
  }

  /* A search over the advanced fields: trace_lsm has 156, nobody reads that many. */
  function finder(fields) {
    const input = ig.el('input', { type: 'search', class: 'input start-find', autocomplete: 'off',
      placeholder: 'Find a parameter …', 'aria-label': 'Find an advanced parameter' });
    input.addEventListener('input', (event) => {
      event.stopPropagation(); // it is no value of the form
      const wanted = input.value.trim().toLowerCase();
      for (const { spec, node } of fields.values()) {
        if (!spec || !spec.advanced) continue;
        const words = (spec.name + ' ' + spec.title + ' ' + spec.description).toLowerCase();
        node.hidden = !words.includes(wanted);
      }
    });
    input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.ctrlKey) event.preventDefault(); // nor does it start
    });
    return input;
  }

  ig.startFields = { finder, text, select, toggle, param, namespaces };
})();
