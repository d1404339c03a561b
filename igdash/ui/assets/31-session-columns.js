/* Which columns a gadget's events have, and what each cell says. Pure: fields in, column
   definitions for the grid out; what the user chose is remembered per gadget in this browser. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const view = (ig.session = ig.session || {});
  const text = view.text;
  const columns = (view.columns = {});

  const CHAR = 7.3, PAD = 22;
  const LABELS = {
    'k8s.namespace': 'Namespace', 'k8s.podName': 'Pod', 'k8s.containerName': 'Container', 'proc.comm': 'Process',
    comm: 'Process', 'proc.pid': 'PID', pid: 'PID', 'proc.tid': 'TID', tid: 'TID', 'proc.creds.uid': 'UID', uid: 'UID',
    'proc.creds.gid': 'GID', gid: 'GID', src: 'Source', dst: 'Destination', type: 'Type', error: 'Error', name: 'Name',
    args: 'Arguments', sent: 'Sent', received: 'Received', nameserver: 'Server', qtype: 'Query', qr: 'Q/R', rcode: 'Answer',
    addresses: 'Addresses', latency_ns: 'Latency', state: 'State',
  };
  const FIRST = ['k8s.namespace', 'k8s.podName'];
  /* IG shows these, but beside the process id they only cost width (a person can choose them). */
  const QUIET = ['tid', 'proc.tid', 'k8s.containerName', 'nameserver'];
  /* Left out where a screen is narrow, as long as nobody chose. */
  const WIDE = ['@node', 'k8s.namespace', 'proc.pid', 'pid', 'src'];
  const NUMBER = /^(Uint|Int|Float)\d+$/;
  const TONES = [1, 2, 8, 5, 6, 7, 4, 3];

  function roleOf(field, children) {
    if (field.template === 'l4endpoint' || children.has(field.name + '.addr')) return 'endpoint';
    if (field.template === 'errorString' || field.name === 'error') return 'error';
    if (field.name === 'rcode') return 'code';
    if (field.template === 'timestamp') return 'text';
    if (field.one_of && field.one_of.length > 1 && field.one_of.length <= 8 && !field.name.endsWith('_raw')) return 'tag';
    if (field.template === 'bytes' || field.template === 'duration') return 'measure';
    return NUMBER.test(field.kind || '') ? 'number' : 'text';
  }

  const BASE = {
    endpoint: { width: 240, min: 150, max: 460, flex: 30 }, error: { width: 116, min: 90 }, code: { width: 110, min: 80 },
    tag: { width: 92, min: 70 }, measure: { width: 92, min: 70 },
  };
  const NAMED = {
    'k8s.namespace': { width: 108, min: 80 }, 'k8s.podName': { width: 210, min: 130, max: 340, flex: 22 },
    'k8s.containerName': { width: 120, min: 80 }, 'proc.comm': { width: 124, min: 90 }, comm: { width: 124, min: 90 }, qr: { width: 56, min: 50 },
    args: { width: 320, min: 180, flex: 60 }, name: { width: 240, min: 140, flex: 36 }, nameserver: { width: 130, min: 90 }, qtype: { width: 70, min: 56 }, state: { width: 72, min: 60 },
  };

  function sizeOf(field, role) {
    if (NAMED[field.name]) return NAMED[field.name];
    if (BASE[role]) return BASE[role];
    const chars = role === 'number' ? Math.min(field.width || 9, Math.max(field.min_width || 0, 7)) : Math.min(field.width || 16, 40);
    const width = Math.round(Math.max(chars, labelOf(field.name, field).length + 2) * CHAR + PAD);
    return role === 'text' && chars >= 16 ? { width: width, min: 90, flex: chars } : { width: width, min: 60 };
  }

  function labelOf(name, field) {
    if (LABELS[name]) return LABELS[name];
    const parts = name.split('.');
    const last = parts[parts.length - 1];
    return /(^|\.)parent\./.test(name) ? 'parent ' + last : (field.alias || last);
  }

  function isOffered(field, parents) {
    if (field.in_json === false || /(^|\.)addr_raw(\.|$)/.test(field.name)) return false;
    if (field.template === 'l4endpoint' || parents.has(field.name + '.addr')) return true;
    return field.kind !== '' && !parents.groups.has(field.name);
  }

  /* The columns a source offers, in the order they are shown; `shown` is the default. */
  columns.of = function (fields) {
    const names = new Set(fields.map((field) => field.name));
    names.groups = new Set();
    for (const name of names) {
      for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) names.groups.add(name.slice(0, dot));
    }
    const offered = fields.filter((field) => isOffered(field, names) && field.name !== 'k8s.node').map((field) => {
      const role = roleOf(field, names);
      const quiet = QUIET.includes(field.name) || /(^|\.)parent\./.test(field.name);
      return {
        id: field.name, path: field.name.split('.'), role: role, label: labelOf(field.name, field), field: field,
        size: sizeOf(field, role), shown: !field.hidden && !quiet, right: role === 'measure' || Boolean(field.align_right),
      };
    });
    const rank = (column) => (FIRST.includes(column.id) ? FIRST.indexOf(column.id) : FIRST.length);
    offered.forEach((column, index) => { column.index = index; });
    offered.sort((a, b) => rank(a) - rank(b) || a.index - b.index);
    return [...fixed(), ...offered];
  };

  function fixed() {
    const field = { name: '', description: '' };
    return [
      { id: '@time', path: [], role: 'time', label: 'Time', field: { ...field, description: 'When the event happened' }, size: { width: 108, min: 96 }, shown: true },
      { id: '@node', path: [], role: 'node', label: 'Node', field: { ...field, description: 'Where the event came from' }, size: { width: 96, min: 70 }, shown: true },
    ];
  }

  const PLAIN = /^(timestamp|k8s\.(?!namespace$|podName$)|runtime\.|.*_raw$|.*\.creds\.|.*\.parent\.)/;
  /* Without metadata: the leaves of what has come, so that no event is ever invisible. */
  columns.guess = function (rows) {
    const seen = new Map();
    const add = (name, more) => { if (!seen.has(name)) seen.set(name, { name: name, kind: 'String', hidden: false, width: 16, one_of: [], ...more }); };
    for (const row of rows) {
      for (const [name, value] of Object.entries(row.data || {})) {
        if (!text.isLeaf(value) && value.addr !== undefined) add(name, { template: 'l4endpoint' });
      }
      for (const [name, value] of text.leaves(row.data)) {
        const inside = seen.has(name.split('.')[0]) && name.includes('.');
        add(name, { kind: typeof value === 'number' ? 'Int64' : 'String', hidden: inside || PLAIN.test(name) });
      }
    }
    return [...seen.values()];
  };

  columns.value = function (column, row) {
    if (!row) return undefined;
    if (column.role === 'time') return row.ts;
    if (column.role === 'node') return row.node || text.at(row.data, ['k8s', 'node']) || '';
    return text.at(row.data, column.path);
  };

  columns.cell = function (column, row) {
    const value = columns.value(column, row);
    if (column.role === 'time') return value ? ig.fmt.time(value) : '';
    if (column.role === 'endpoint') return text.endpoint(value);
    if (column.role === 'measure' && typeof value === 'number' && column.field.template === 'bytes') return ig.fmt.bytes(value);
    return text.of(value);
  };

  const UNITS = { 'B': 1, 'KB': 1e3, 'MB': 1e6, 'GB': 1e9, 'TB': 1e12, 'KIB': 1024, 'MIB': 1048576, 'GIB': 1073741824, 'TIB': 1099511627776, 'NS': 1, 'US': 1e3, 'µS': 1e3, 'ΜS': 1e3, 'MS': 1e6, 'S': 1e9, 'M': 6e10, 'H': 3.6e12 };
  function measure(value) {
    let sum = 0, found = false;
    for (const part of String(value).matchAll(/([\d.]+)\s*([a-zµμ]+)/gi)) {
      sum += Number(part[1]) * (UNITS[part[2].toUpperCase()] || 1);
      found = true;
    }
    return found ? sum : Number(value) || 0;
  }

  /* What a tick's rows are sorted by: the raw number beside a formatted text where there is one. */
  columns.key = function (column, row) {
    if (column.role === 'measure') {
      const path = column.path.slice(0, -1).concat(column.path[column.path.length - 1] + '_raw');
      const raw = text.at(row.data, path);
      return raw === undefined ? measure(columns.value(column, row)) : Number(raw);
    }
    const value = columns.value(column, row);
    if (typeof value === 'number' || (typeof value === 'string' && value !== '' && !Number.isNaN(Number(value)))) return Number(value);
    if (column.role === 'number') return Number(text.of(value)) || 0;
    return columns.cell(column, row).toLowerCase();
  };

  /* Rows of a tick in the order of the grid's sort model; ties keep the order of delivery. */
  columns.sort = function (rows, list, model) {
    if (!model || model.length === 0) return rows;
    const by = model.map((one) => [list.find((column) => column.id === one.colId), one.sort === 'desc' ? -1 : 1]).filter(([column]) => column);
    const keyed = rows.map((row, index) => [by.map(([column]) => columns.key(column, row)), index, row]);
    keyed.sort((a, b) => {
      for (let i = 0; i < by.length; i += 1) {
        const order = compare(a[0][i], b[0][i]) * by[i][1];
        if (order !== 0) return order;
      }
      return a[1] - b[1];
    });
    return keyed.map((one) => one[2]);
  };
  function compare(a, b) {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === 'number' ? -1 : 1;
  }

  /* ---------------------------------------------------------------- for the grid */

  /* The class of a tag's colour; '' = plain text. */
  columns.tone = function (column, value) {
    if (value === '') return '';
    if (column.role === 'error') return 's-tag s-k-err';
    if (column.role === 'code') return value === 'Success' ? 's-tag s-k2' : 's-tag s-k-warn';
    const at = column.field.one_of.indexOf(value);
    return at < 0 ? 's-tag' : 's-tag s-k' + TONES[at % TONES.length];
  };

  /* A tag is drawn by the grid's plain renderer interface (no React): text and colour change in one
     step. A cell class would change at once and the text a frame later, which shows at four updates
     a second. */
  function tagRenderer(column) {
    return class {
      init(params) {
        this.node = document.createElement('span');
        this.refresh(params);
      }
      getGui() { return this.node; }
      refresh(params) {
        const value = params.value || '';
        if (this.value !== value) {
          this.value = value;
          this.node.textContent = value;
          this.node.className = columns.tone(column, value);
        }
        return true;
      }
    };
  }
  const isTag = (column) => ['error', 'code', 'tag'].includes(column.role);

  const ZERO = /^(0|0 ?B|0n?s|)$/;
  function classes(column) {
    const list = ['s-cell'];
    if (column.right) list.push('ag-right-aligned-cell');
    if (column.role === 'time') list.push('s-time');
    if (column.field.ellipsis === 'start') list.push('s-ell-start');
    return list;
  }

  const CELL_PAD = 20;
  let glyph = 0;
  /* Width of one character of a cell, measured once: the font is monospaced. */
  function glyphWidth() {
    if (glyph > 0 || typeof document === 'undefined') return glyph || CHAR;
    const pen = document.createElement('canvas').getContext('2d');
    const style = window.getComputedStyle(document.documentElement).getPropertyValue('--mono') || 'monospace';
    pen.font = '12px ' + style;
    glyph = pen.measureText('0'.repeat(50)).width / 50 || CHAR;
    return glyph;
  }

  /* Cut in the middle, so that a pod keeps its suffix and an endpoint its port. */
  columns.middle = function (value, width) {
    const room = Math.floor((width - CELL_PAD) / glyphWidth());
    if (value.length <= room || room < 8) return value;
    const tail = Math.ceil((room - 1) * 0.45);
    return value.slice(0, room - 1 - tail) + '…' + value.slice(value.length - tail);
  };
  const isMiddle = (column) => column.role === 'endpoint' || column.field.ellipsis === 'middle';

  /* The name to sort by, as the address and the server know it. Time is the order in which events came:
     following it costs no sorting. */
  columns.sortName = function (column) {
    if (column.role === 'time') return 'seq';
    if (column.role === 'node') return 'node';
    return column.role === 'endpoint' ? column.id + '.addr' : column.id;
  };
  /* What clicks on a header go through: numbers begin with the largest. */
  function sortingOrder(column) {
    if (column.role === 'time') return ['asc', null];
    return column.role === 'measure' || column.role === 'number' ? ['desc', 'asc', null] : ['asc', 'desc', null];
  }
  /* `sort=` as the grid's header state; null = no column shows it. */
  columns.sortState = function (list, sort) {
    const name = (sort || '').replace(/^-/, '');
    const column = list.find((one) => columns.sortName(one) === name) || list.find((one) => one.role === 'time' && name === 'time');
    return column && name ? { colId: column.id, sort: sort.startsWith('-') ? 'desc' : 'asc' } : null;
  };

  columns.def = function (column, chosen) {
    const size = column.size;
    const cut = isMiddle(column) ? (value, p) => columns.middle(value, p.column.getActualWidth()) : (value) => value;
    const width = chosen && chosen.widths && chosen.widths[column.id];
    const pinned = Boolean(chosen && chosen.pinned && chosen.pinned.includes(column.id));
    const def = {
      colId: column.id, headerName: column.label, headerTooltip: tip(column), minWidth: size.min,
      valueGetter: (p) => (p.data ? cut(columns.cell(column, p.data), p) : ''),
      tooltipValueGetter: (p) => (p.data ? (column.role === 'time' ? p.data.ts : columns.cell(column, p.data)) : ''),
      cellClass: classes(column), sortable: true, sortingOrder: sortingOrder(column), resizable: true, suppressHeaderMenuButton: true,
      headerClass: column.right ? 'ag-right-aligned-header' : '', comparator: () => 0,
    };
    if (column.role === 'measure') def.cellClassRules = { 's-zero': (p) => ZERO.test(p.value) };
    if (isTag(column)) def.cellRenderer = tagRenderer(column);
    if (size.max) def.maxWidth = size.max;
    if (width) Object.assign(def, { width: width, maxWidth: undefined });
    else if (size.flex && !pinned) Object.assign(def, { flex: size.flex, width: size.width });
    else def.width = size.width;
    def.pinned = pinned ? 'left' : null;
    return def;
  };
  function tip(column) {
    const name = column.id.startsWith('@') ? '' : column.id;
    return [name, column.field.description].filter(Boolean).join(': ');
  }

  /* ---------------------------------------------------------------- what the user chose */

  const key = (gadget) => 'igdash.columns.' + gadget;
  columns.load = function (gadget) {
    try {
      const chosen = JSON.parse(window.localStorage.getItem(key(gadget)) || 'null');
      return chosen && typeof chosen === 'object' ? chosen : null;
    } catch { return null; }
  };
  columns.save = function (gadget, chosen) {
    try {
      if (chosen === null) window.localStorage.removeItem(key(gadget));
      else window.localStorage.setItem(key(gadget), JSON.stringify(chosen));
    } catch { /* a browser without storage only forgets */ }
  };

  /* The choice as `cols=` of the address: names in order, `:width` and `!` (kept at the left) behind. */
  columns.toParam = function (chosen) {
    if (!chosen || !Array.isArray(chosen.shown)) return '';
    const widths = chosen.widths || {}, pinned = chosen.pinned || [];
    return chosen.shown.map((id) => id + (widths[id] ? ':' + widths[id] : '') + (pinned.includes(id) ? '!' : '')).join(',');
  };
  columns.fromParam = function (param) {
    const chosen = { shown: [], widths: {}, pinned: [] };
    for (const part of (param || '').split(',')) {
      const match = /^([^:!]+)(?::(\d{2,4}))?(!)?$/.exec(part.trim());
      if (!match || chosen.shown.includes(match[1])) continue;
      chosen.shown.push(match[1]);
      if (match[2]) chosen.widths[match[1]] = Math.min(2000, Math.max(40, Number(match[2])));
      if (match[3]) chosen.pinned.push(match[1]);
    }
    return chosen.shown.length > 0 ? chosen : null;
  };

  /* The ids shown, in order: the user's choice, else the metadata's, less what is empty everywhere. */
  columns.shown = function (list, chosen, rows) {
    if (chosen && Array.isArray(chosen.shown)) {
      const known = chosen.shown.filter((id) => list.some((column) => column.id === id));
      if (known.length > 0) return known;
    }
    const quiet = (column) => rows.length > 0 && ['@node', ...FIRST].includes(column.id) && rows.every((row) => columns.cell(column, row) === '');
    const narrow = typeof window.innerWidth === 'number' && window.innerWidth < 700;
    const wide = (column) => narrow && WIDE.includes(column.id);
    const ids = list.filter((column) => column.shown && !quiet(column) && !wide(column)).map((column) => column.id);
    return ids.length > 1 ? ids : list.slice(0, 8).map((column) => column.id);
  };
})();
