/* Pure text and number work of the session view: nothing here touches the page.
   A page of events arrives as text and stays text: only the rows on screen are parsed, and numbers
   beyond 2^53 are never sent through a float. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const view = (ig.session = ig.session || {});
  const text = (view.text = {});

  /* ---------------------------------------------------------------- finding parts of JSON text */

  const QUOTE = 34, BACKSLASH = 92, COMMA = 44, OPEN = 123, CLOSE = 125, LIST = 91, END = 93;

  function afterString(json, at) {
    for (;;) {
      const end = json.indexOf('"', at + 1);
      if (end < 0) throw new SyntaxError('unterminated text in an answer');
      let slashes = 0;
      while (json.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
      if (slashes % 2 === 0) return end + 1;
      at = end;
    }
  }

  function afterNested(json, at) {
    let depth = 0;
    for (let i = at; i < json.length; i += 1) {
      const c = json.charCodeAt(i);
      if (c === QUOTE) i = afterString(json, i) - 1;
      else if (c === OPEN || c === LIST) depth += 1;
      else if (c === CLOSE || c === END) {
        depth -= 1;
        if (depth === 0) return i + 1;
      }
    }
    throw new SyntaxError('an answer ends inside a value');
  }

  function afterValue(json, at) {
    const c = json.charCodeAt(at);
    if (c === QUOTE) return afterString(json, at);
    if (c === OPEN || c === LIST) return afterNested(json, at);
    let i = at;
    while (i < json.length && !',]} \n\r\t'.includes(json[i])) i += 1;
    return i;
  }

  function skipSpace(json, at) {
    while (at < json.length && json.charCodeAt(at) <= 32) at += 1;
    return at;
  }

  /* The members of the object that begins at `at`, as {key: raw text}. */
  text.members = function (json, at) {
    const found = Object.create(null);
    let i = skipSpace(json, skipSpace(json, at || 0) + 1);
    while (i < json.length && json.charCodeAt(i) !== CLOSE) {
      const key = afterString(json, i);
      const start = skipSpace(json, skipSpace(json, key) + 1);
      const end = afterValue(json, start);
      found[JSON.parse(json.slice(i, key))] = json.slice(start, end);
      i = skipSpace(json, end);
      if (json.charCodeAt(i) === COMMA) i = skipSpace(json, i + 1);
    }
    return found;
  };

  /* The raw texts of the elements of the array text `json`. */
  text.elements = function (json) {
    const found = [];
    let i = skipSpace(json, 1);
    while (i < json.length && json.charCodeAt(i) !== END) {
      const end = afterValue(json, i);
      found.push(json.slice(i, end));
      i = skipSpace(json, end);
      if (json.charCodeAt(i) === COMMA) i = skipSpace(json, i + 1);
    }
    return found;
  };

  /* One event; its data is parsed when somebody looks. */
  class Row {
    constructor(json) {
      const parts = text.members(json);
      this.seq = Number(parts.seq);
      this.ts = JSON.parse(parts.ts);
      this.node = parts.node ? JSON.parse(parts.node) : '';
      this.source = parts.source ? JSON.parse(parts.source) : '';
      this.raw = parts.data;
      this.parsed = undefined;
    }
    get data() {
      if (this.parsed === undefined) this.parsed = ig.parseExact(this.raw);
      return this.parsed;
    }
  }
  text.Row = Row;

  /* A page of events: {events: [Row] in the order given, first, last, next: cursor or null, scope or
     null}. */
  text.page = function (json) {
    const parts = text.members(json);
    return {
      events: text.elements(parts.events).map((one) => new Row(one)),
      first: Number(parts.first_seq || 1),
      last: Number(parts.last_seq || 0),
      next: parts.next ? JSON.parse(parts.next) : null,
      scope: parts.scope ? JSON.parse(parts.scope) : null,
    };
  };

  /* The same JSON, indented; every literal stays the text it was. */
  text.pretty = function (json) {
    let out = '', depth = 0;
    const line = () => '\n' + '  '.repeat(depth);
    for (let i = skipSpace(json, 0); i < json.length; i = skipSpace(json, i)) {
      const c = json[i];
      if (c === '{' || c === '[') {
        const next = skipSpace(json, i + 1);
        if (json[next] === '}' || json[next] === ']') {
          out += c + json[next];
          i = next + 1;
          continue;
        }
        depth += 1;
        out += c + line();
        i += 1;
      } else if (c === '}' || c === ']') {
        depth -= 1;
        out += line() + c;
        i += 1;
      } else if (c === ',') {
        out += c + line();
        i += 1;
      } else if (c === ':') {
        out += ': ';
        i += 1;
      } else {
        const end = afterValue(json, i) || i + 1;
        out += json.slice(i, end);
        i = end;
      }
    }
    return out;
  };

  /* ---------------------------------------------------------------- values */

  const isBig = (value) => ig.Big !== undefined && value instanceof ig.Big;
  text.isLeaf = (value) => value === null || typeof value !== 'object' || Array.isArray(value) || isBig(value);

  /* What a person reads for one value: exact, never [object Object]. */
  text.of = function (value) {
    if (value === undefined || value === null) return '';
    if (typeof value === 'object' && !isBig(value)) {
      return Array.isArray(value) ? value.map(text.of).join(', ') : JSON.stringify(value, exact);
    }
    return String(value);
  };
  function exact(_key, value) {
    return isBig(value) ? String(value) : value;
  }

  text.at = function (data, path) {
    let value = data;
    for (const key of path) {
      if (value === undefined || value === null) return undefined;
      value = value[key];
    }
    return value;
  };

  const KINDS = { pod: 'p/', svc: 's/', raw: 'r/' };
  /* An endpoint as IG prints it: p/ns/pod:port, s/ns/service:port, r/addr:port. */
  text.endpoint = function (value) {
    if (value === undefined || value === null) return '';
    if (text.isLeaf(value)) return text.of(value);
    const k8s = value.k8s || {};
    const port = value.port === undefined ? '' : ':' + text.of(value.port);
    const prefix = KINDS[k8s.kind] || '';
    if (k8s.name && k8s.kind !== 'raw') {
      return prefix + (k8s.namespace ? k8s.namespace + '/' : '') + k8s.name + port;
    }
    const addr = text.of(value.addr);
    if (addr === '' && port === '') return '';
    return prefix + (port && addr.includes(':') ? '[' + addr + ']' : addr) + port;
  };

  /* Leaves of an event as [dotted name, value], in the order the gadget gave. */
  text.leaves = function (data, prefix) {
    const found = [];
    for (const [key, value] of Object.entries(data || {})) {
      const name = (prefix || '') + key;
      if (text.isLeaf(value)) found.push([name, value]);
      else found.push(...text.leaves(value, name + '.'));
    }
    return found;
  };

  const GROUPS = [
    ['SOURCE', (name) => /^src(\.|$)/.test(name)],
    ['DESTINATION', (name) => /^dst(\.|$)/.test(name)],
    ['PROCESS', (name) => /^(proc|parent|creds)\./.test(name) || /^(comm|pid|tid|ppid|pcomm|uid|gid|mntns_id)$/.test(name)],
    ['KUBERNETES', (name) => /^k8s\./.test(name)],
    ['RUNTIME', (name) => /^runtime\./.test(name)],
  ];
  const LEADING = ['type', 'error', 'name', 'args'];

  /* The whole event for the drawer: [[title, [[name, text]]]], the part without a title first. */
  text.groups = function (data) {
    const rest = ['', []];
    const groups = GROUPS.map(([title]) => [title, []]);
    for (const [name, value] of text.leaves(data)) {
      const at = GROUPS.findIndex(([, belongs]) => belongs(name));
      (at < 0 ? rest : groups[at])[1].push([name, text.of(value)]);
    }
    for (const [group, key] of [[groups[0], 'src'], [groups[1], 'dst']]) {
      if (data && data[key] && !text.isLeaf(data[key])) group[1].unshift([key, text.endpoint(data[key])]);
    }
    const rank = ([name]) => (LEADING.includes(name) ? LEADING.indexOf(name) : LEADING.length);
    rest[1].sort((a, b) => rank(a) - rank(b));
    return [rest, ...groups].filter(([, rows]) => rows.length > 0);
  };

  /* ---------------------------------------------------------------- losses, time, steps */

  const CAUSES = {
    kernel: 'kernel buffer full',
    ig_queue: 'Inspektor Gadget’s queue full',
    stream: 'no connection to the gadget',
    stop_tail: 'last moments before the stop',
    writer: 'igdash could not keep up or store',
    retention: 'deleted by a retention rule',
  };
  text.cause = (cause) => CAUSES[cause] || cause;

  /* A loss record's number in words: what is only a bound says so. */
  text.lost = function (loss) {
    if (loss.exact === false) return loss.count > 0 ? '≥ ' + ig.fmt.count(loss.count) : 'unknown';
    return ig.fmt.count(loss.count);
  };

  const WHERE = { writer: 'lost in igdash', retention: 'deleted' };
  /* The strip above the grid: how many, where, when, why. */
  text.lossLine = function (loss) {
    const some = text.lost(loss) === 'unknown';
    const count = some ? 'An unknown number of events' : text.lost(loss) + (loss.count === 1 ? ' event' : ' events');
    const node = loss.node ? ' on ' + loss.node : '';
    return count + ' ' + (WHERE[loss.cause] || 'lost at the source') + node + ' between ' + ig.fmt.time(loss.from) +
      ' and ' + ig.fmt.time(loss.to) + ' (' + text.cause(loss.cause) + ')';
  };

  const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
  /* The bar width in seconds for a life of `seconds`: the smallest round one with at most `most` bars. */
  text.step = function (seconds, most) {
    for (const step of SECONDS) if (seconds / step <= most) return step;
    return Math.ceil(seconds / most / 86400) * 86400;
  };
})();
