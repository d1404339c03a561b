/* The start form's values, apart from any element: what the address bar says, what the form holds,
   and the body that POST /api/sessions and POST /api/check take. Only what differs from the
   gadget's defaults is sent, so that a session records decisions, not noise. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };
  const LONGEST = 365 * 86400; // the API's bound
  const TARGET = ['pod', 'container', 'node', 'selector'];
  const PARAM = 'params.';

  const isImage = (name) => name.includes('/');

  const runs = (environment, gadget) =>
    isImage(gadget.name) || !(environment.gadgets || []).length || environment.gadgets.includes(gadget.name);

  /* The environment a fresh form proposes: the first that is up and can run this gadget. */
  function firstEnvironment(environments, gadget) {
    const can = environments.filter((e) => runs(e, gadget));
    const best = can.find((e) => e.health === 'up') || can[0] || environments[0];
    return best ? best.name : '';
  }

  /* "10m", "90s", "1h30m", "90" (seconds) -> {seconds} or {error}; empty -> {}. */
  function parseDuration(text) {
    const plain = text.trim().toLowerCase().replace(/\s+/g, '');
    if (!plain) return {};
    const wrong = { error: 'not a duration; write for example 10m, 90s or 1h30m' };
    if (/^\d+(\.\d+)?$/.test(plain)) return above(Number(plain));
    if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(plain)) return wrong;
    let seconds = 0;
    for (const [, number, , unit] of plain.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|d)/g)) {
      seconds += Number(number) * UNITS[unit];
    }
    return above(seconds);
  }

  function above(seconds) {
    if (seconds > LONGEST) return { error: 'too long; at most 365d' };
    if (seconds > 0) return { seconds: seconds };
    return { error: 'must be longer than 0; leave it empty to collect until stopped' };
  }

  /* "10000", "10,000", "10 000" -> {count} or {error}; empty -> {}. */
  function parseCount(text) {
    const plain = text.trim().replace(/[\s,_’']/g, '');
    if (!plain) return {};
    if (!/^\d+$/.test(plain)) return { error: 'not a whole number; write for example 10000' };
    const count = Number(plain);
    if (!Number.isSafeInteger(count)) return { error: 'too large; at most 9,007,199,254,740,991' };
    if (count < 1) return { error: 'must be at least 1; leave it empty to collect until stopped' };
    return { count: count };
  }

  function durationText(seconds) {
    const whole = Number(seconds);
    if (!whole) return '';
    for (const unit of ['h', 'm']) {
      if (whole % UNITS[unit] === 0) return whole / UNITS[unit] + unit;
    }
    return whole + 's';
  }

  /* What an untouched form holds. `usual` is where targets begin in that environment: everything
     but IG's own namespace ("!gadget"), or '' where there is none (a plain host) or it cannot matter
     (a gadget that looks at whole machines). */
  function defaults(environment, usual) {
    return { environment: environment, name: '', scope: usual ? 'others' : 'all', namespace: '',
      pod: '', container: '', node: '', selector: '', duration: '', events: '', headless: 'false', params: {} };
  }

  function namespaceOf(values, usual) {
    if (values.scope === 'all') return '';
    return values.scope === 'others' ? usual : values.namespace.trim();
  }

  function setNamespace(values, text, usual) {
    if (text === '') values.scope = 'all';
    else if (text === usual) values.scope = 'others';
    else Object.assign(values, { scope: 'these', namespace: text });
  }

  /* Values from the address bar; what it does not say is as in an untouched form. */
  function fromParams(params, environment, usual) {
    const values = defaults(environment, usual);
    for (const field of ['name', 'duration', 'events', 'headless', ...TARGET]) {
      if (params.has(field)) values[field] = params.get(field);
    }
    if (params.has('namespace')) setNamespace(values, params.get('namespace'), usual);
    for (const [key, value] of params) {
      if (key.startsWith(PARAM)) values.params[key.slice(PARAM.length)] = value;
    }
    return values;
  }

  /* The address bar's parameters: what differs from an untouched form. `first` is the environment
     that such a form proposes. */
  function toParams(values, first, usual) {
    const plain = defaults(first, usual);
    const out = {};
    for (const field of ['environment', 'name', 'duration', 'events', 'headless', ...TARGET]) {
      if (values[field] !== plain[field]) out[field] = values[field];
    }
    if (values.scope !== plain.scope) out.namespace = namespaceOf(values, usual);
    for (const [name, value] of Object.entries(values.params)) out[PARAM + name] = value;
    return out;
  }

  function stopAfter(values, problems) {
    const stop = {};
    const duration = parseDuration(values.duration);
    const events = parseCount(values.events);
    if (duration.error) problems['stop_after.seconds'] = duration.error;
    else if (duration.seconds) stop.seconds = duration.seconds;
    if (events.error) problems['stop_after.events'] = events.error;
    else if (events.count) stop.events = events.count;
    return stop;
  }

  /* -> {body, problems}: the request, and what is wrong before anybody was asked. */
  function toBody(gadget, values, usual) {
    const problems = {};
    const namespace = namespaceOf(values, usual);
    if (values.scope === 'these' && !namespace) {
      problems['target.namespace'] = 'name at least one namespace, or choose all';
    }
    const target = {};
    if (namespace) target.namespace = namespace;
    for (const field of TARGET) if (values[field].trim()) target[field] = values[field].trim();
    const body = { gadget: gadget, environment: values.environment, target: target,
      params: Object.assign({}, values.params), stop_after: stopAfter(values, problems) };
    if (values.headless === 'true') body.headless = true;
    if (values.name.trim()) body.name = values.name.trim();
    return { body: body, problems: problems };
  }

  /* The start form, filled with what a session was started with. */
  function startUrl(session) {
    const target = session.target || {};
    const params = new URLSearchParams({ environment: session.environment,
      namespace: target.namespace || '' });
    for (const field of TARGET) if (target[field]) params.set(field, target[field]);
    if (session.name) params.set('name', session.name);
    for (const [name, value] of Object.entries(session.params || {})) params.set(PARAM + name, value);
    const stop = session.stop_after || {};
    if (stop.seconds) params.set('duration', durationText(stop.seconds));
    if (stop.events) params.set('events', String(stop.events));
    if (session.headless) params.set('headless', 'true');
    return '/start/' + encodeURIComponent(session.gadget) + '?' + params;
  }

  ig.startModel = { isImage, runs, firstEnvironment, parseDuration, parseCount, durationText, defaults, namespaceOf, fromParams,
    toParams, toBody };
  ig.startUrl = startUrl;
})();
