/* Filters as texts: cut at their top-level `and`, put together again, and conditions made from values.
   Pure. The server reads filters; here only words are told apart, as `domain/filter_tokens.py` does. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const view = (ig.session = ig.session || {});
  const words = (view.words = {});

  const KEYWORDS = ['and', 'or', 'not', 'in', 'like', 'exists', 'lost', 'malformed'];
  const WORD = '(?:[\\p{L}\\p{N}_\\-/:*]|\\.(?!\\.))+';
  const TOKEN = new RegExp('\\s*(?:("(?:[^"\\\\]|\\\\.)*"|\'(?:[^\'\\\\]|\\\\.)*\')|(=~|==|!=|!~|<=|>=|=|<|>|~|\\.\\.|[(),])|(' + WORD + '))', 'suy');
  const PLAIN_NAME = new RegExp('^' + WORD + '$', 'u');
  /* Read as a text whatever the field: no digit first (numbers, sizes), nothing with a meaning in it. */
  const PLAIN_VALUE = /^[A-Za-z_](?:[A-Za-z0-9_\-/:]|\.(?!\.))*$/;

  /* [{text, start, end, kind: string|op|word|keyword}]; null when a character has no meaning here. */
  words.tokens = function (text) {
    const found = [];
    const end = text.trimEnd().length;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < end) {
      const match = TOKEN.exec(text);
      if (!match) return null;
      const word = match[1] || match[2] || match[3];
      const kind = match[1] ? 'string' : match[2] ? 'op' : KEYWORDS.includes(word.toLowerCase()) ? 'keyword' : 'word';
      found.push({ text: word, start: TOKEN.lastIndex - word.length, end: TOKEN.lastIndex, kind: kind });
    }
    return found;
  };

  function cuts(text, word) {
    const found = [];
    let depth = 0;
    for (const token of words.tokens(text) || []) {
      if (token.text === '(' && token.kind === 'op') depth += 1;
      else if (token.text === ')' && token.kind === 'op') depth -= 1;
      else if (depth === 0 && token.kind === 'keyword' && token.text.toLowerCase() === word) found.push(token);
    }
    return found;
  }
  const isOr = (text) => cuts(text, 'or').length > 0;

  /* The parts of a top-level `and`; one part when it is something else. */
  words.parts = function (text) {
    const whole = text.trim();
    if (whole === '') return [];
    if (isOr(whole)) return [whole];
    const parts = [];
    let start = 0;
    for (const token of cuts(whole, 'and')) {
      parts.push(whole.slice(start, token.start).trim());
      start = token.end;
    }
    parts.push(whole.slice(start).trim());
    return parts.filter((part) => part !== '');
  };

  words.join = function (parts) {
    const some = parts.map((part) => part.trim()).filter((part) => part !== '');
    return some.length === 1 ? some[0] : some.map((part) => (isOr(part) ? '(' + part + ')' : part)).join(' and ');
  };

  /* ---------------------------------------------------------------- conditions from values */

  const quoted = (text) => '"' + text.replace(/\\/g, '\\\\').replace(/"/g, '\\"') + '"';
  words.name = (name) => (PLAIN_NAME.test(name) && !KEYWORDS.includes(name.toLowerCase()) ? name : quoted(name));
  words.value = function (value) {
    if (typeof value !== 'string') return String(value);
    const plain = PLAIN_VALUE.test(value) && ![...KEYWORDS, 'true', 'false'].includes(value.toLowerCase());
    return plain ? value : quoted(value);
  };
  /* The same condition in the same words, whatever its quotes and spaces: for comparing two. */
  words.normal = function (condition) {
    const bare = (token) => { const inside = token.text.slice(1, -1); return token.kind === 'string' && PLAIN_VALUE.test(inside) ? words.value(inside) : token.text; };
    return (words.tokens(condition) || [{ text: condition }]).map(bare).join(' ');
  };
  words.is = (name, value) => words.name(name) + ' = ' + words.value(value);
  words.isNot = (name, value) => words.name(name) + ' != ' + words.value(value);
  words.not = (condition) => (words.parts(condition).length > 1 || isOr(condition) ? 'not (' + condition + ')' : 'not ' + condition);

  const SHORT = {
    '@node': 'node', '@source': 'source', '@container': 'container', 'k8s.namespace': 'namespace', 'k8s.podName': 'pod',
    'proc.comm': 'comm', 'proc.pid': 'pid', 'proc.tid': 'tid', 'proc.creds.uid': 'uid',
  };
  /* How people would write a field: its short name unless the gadget has another field of that name. */
  words.short = function (id, names) {
    const short = SHORT[id];
    return short && !(names && names.has(short)) ? short : id;
  };

  /* The conditions that say "this endpoint": the object or the address, and its port. */
  words.endpoint = function (name, value) {
    const k8s = value.k8s || {};
    const port = value.port === undefined ? [] : [words.is(name + '.port', value.port)];
    if (k8s.name && k8s.kind !== 'raw') {
      const inside = k8s.namespace ? [words.is(name + '.k8s.namespace', k8s.namespace)] : [];
      return [...inside, words.is(name + '.k8s.name', k8s.name), ...port];
    }
    return value.addr === undefined ? port : [words.is(name + '.addr', value.addr), ...port];
  };
})();
