/* The core every view builds on: window.igdash. Exact JSON, REST, DOM, numbers and times as text.
   Routing, the live socket, dialogs and keys follow in 11–14. No build step, no eval, no innerHTML
   with data: what gadgets deliver is hostile text until `textContent` has made it harmless. */
(() => {
  "use strict";
  const ig = (window.igdash = window.igdash || {});

  /* ---------- JSON that keeps every number exact ---------- */

  /** A number JavaScript cannot hold. String() is the exact text; arithmetic falls back to a float. */
  class Big {
    constructor(text) { this.text = text; Object.freeze(this); }
    toString() { return this.text; }
    valueOf() { return Number(this.text); }
    toJSON() { return JSON.rawJSON ? JSON.rawJSON(this.text) : this.text; }
  }
  ig.Big = Big;
  ig.isBig = (value) => value instanceof Big;

  const number = (text) => {
    const value = Number(text);
    if (text.length < 16) return value;
    if (/^-?\d+$/.test(text)) return Number.isSafeInteger(value) ? value : new Big(text);
    return String(value) === text || text.replace(/[-.]|e.*$/gi, "").length <= 17 ? value : new Big(text);
  };

  /** Parse JSON like JSON.parse, except that numbers which would be rounded become `igdash.Big`. */
  ig.parseExact = (text) => {
    if (!/\d{16}|\d\.\d{15}/.test(text)) return JSON.parse(text);
    const token = /\s*(?:("(?:[^"\\\u0000-\u001f]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([[\]{}:,])|(true|false|null))\s*/y;
    const fail = () => { throw new SyntaxError("not JSON at " + token.lastIndex); };
    const next = () => token.exec(text) || fail();
    const string = (raw) => (raw.includes("\\") ? JSON.parse(raw) : raw.slice(1, -1));
    const value = (t) => {
      if (t[1] !== undefined) return string(t[1]);
      if (t[2] !== undefined) return number(t[2]);
      if (t[4] !== undefined) return t[4] === "null" ? null : t[4] === "true";
      return t[3] === "{" ? object() : t[3] === "[" ? array() : fail();
    };
    const array = () => {
      const out = [];
      let t = next();
      if (t[3] === "]") return out;
      for (;;) {
        out.push(value(t));
        t = next();
        if (t[3] === "]") return out;
        if (t[3] !== ",") fail();
        t = next();
      }
    };
    const object = () => {
      const out = {};
      let t = next();
      if (t[3] === "}") return out;
      for (;;) {
        if (t[1] === undefined || next()[3] !== ":") fail();
        const key = string(t[1]);
        const item = value(next());
        if (key === "__proto__") Object.defineProperty(out, key, { value: item, enumerable: true, configurable: true, writable: true });
        else out[key] = item;
        t = next();
        if (t[3] === "}") return out;
        if (t[3] !== ",") fail();
        t = next();
      }
    };
    const result = value(next());
    if (token.lastIndex !== text.length) fail();
    return result;
  };

  /* ---------- REST ---------- */

  const problemOf = async (response) => {
    try {
      const body = JSON.parse(await response.text());
      if (body && typeof body === "object") return body;
    } catch { /* a proxy's HTML page, or nothing at all */ }
    return { status: response.status, title: response.statusText || "Error " + response.status };
  };

  /** Call the API; answers parsed JSON (null when empty). Throws an Error whose `.problem` is the
      problem document (`status` 0 = the server could not be reached). */
  ig.api = async (path, { method = "GET", body, signal, blob = false } = {}) => {
    const url = path.startsWith("/api/") ? path : "/api/" + path.replace(/^\//, "");
    const options = { method, signal, headers: { Accept: "application/json" }, credentials: "same-origin" };
    if (body !== undefined) {
      options.body = JSON.stringify(body);
      options.headers["Content-Type"] = "application/json";
    }
    let response;
    try {
      response = await fetch(url, options);
    } catch (cause) {
      if (cause.name === "AbortError") throw cause;
      throw Object.assign(new Error("igdash does not answer. Is it still running?", { cause }), {
        problem: { status: 0, title: "No connection" },
      });
    }
    if (!response.ok) {
      const problem = await problemOf(response);
      throw Object.assign(new Error(problem.detail || problem.title || "Error " + response.status), { problem });
    }
    if (blob) return response.blob();
    const text = await response.text();
    return text ? ig.parseExact(text) : null;
  };

  /* ---------- DOM ---------- */

  const SVG = "http://www.w3.org/2000/svg";

  const setAttribute = (node, name, value) => {
    if (value === null || value === undefined || value === false) return;
    if (name === "class") node.setAttribute("class", Array.isArray(value) ? value.filter(Boolean).join(" ") : value);
    else if (name === "on") for (const [event, fn] of Object.entries(value)) node.addEventListener(event, fn);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else if (name === "text") node.textContent = value;
    else if (name === "value" || name === "checked" || name === "disabled" || name === "indeterminate") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  };

  const build = (node, attrs, children) => {
    for (const [name, value] of Object.entries(attrs || {})) setAttribute(node, name, value);
    node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false)
      .map((c) => (c instanceof Node ? c : String(c))));
    return node;
  };

  /** Make an element. Attributes: class (text or list), on: {event: fn}, data: {}, style: {} (also
      custom properties), text, everything else as an attribute (true = empty, false/null = left out).
      Children are nodes or text, never markup. */
  ig.el = (tag, attrs, ...children) => build(document.createElement(tag), attrs, children);
  ig.svg = (tag, attrs, ...children) => build(document.createElementNS(SVG, tag), attrs, children);
  ig.icon = (name, large) => ig.el("span", { class: ["i", "i-" + name, large && "l"], "aria-hidden": "true" });
  ig.$ = (id) => document.getElementById(id);
  /** Write a text only when it changed, so that an unchanged number costs no layout. */
  ig.setText = (node, text) => { if (node && node.textContent !== String(text)) node.textContent = text; };

  /** Columns of a sparkline as one SVG path; the newest `fresh` columns in full colour. */
  ig.spark = (values, { color = "var(--c1)", fresh = 3, width = 200, height = 18, label } = {}) => {
    const node = ig.svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none",
      role: label ? "img" : null, "aria-label": label, "aria-hidden": label ? null : "true" },
      ig.svg("path", { opacity: ".45" }), ig.svg("path", {}));
    node.style.color = color;
    ig.setSpark(node, values, { fresh, width, height });
    return node;
  };
  ig.setSpark = (node, values, { fresh = 3, width = 200, height = 18 } = {}) => {
    const list = values && values.length ? values : [0];
    const top = Math.max(1, ...list);
    const step = width / list.length;
    const bar = (v, i) => {
      const h = v ? Math.max(2, (v / top) * (height - 1)) : 1;
      return `M${(i * step).toFixed(1)} ${height}v${-h.toFixed(1)}h${(step * 0.7).toFixed(1)}v${h.toFixed(1)}z`;
    };
    const cut = list.length - fresh;
    const d = list.map(bar);
    [d.slice(0, cut).join(""), d.slice(cut).join("")].forEach((path, i) => {
      const p = node.children[i];
      p.setAttribute("fill", "currentColor");
      if (p.getAttribute("d") !== path) p.setAttribute("d", path);
    });
  };

  /* ---------- numbers and times for people ---------- */

  const pad = (n, width = 2) => String(n).padStart(width, "0");
  const ms = (when) => (when instanceof Date ? when.getTime() : typeof when === "number" ? when : Date.parse(when));
  const scaled = (n, units, base) => {
    let value = Math.abs(Number(n)), i = 0;
    while (i < units.length - 1 && (value >= base || Number(value.toPrecision(3)) >= base)) { value /= base; i++; }
    const digits = i === 0 || value >= 100 ? 0 : 1;
    const text = value.toFixed(digits).replace(/\.0$/, "");
    return (Number(n) < 0 ? "-" : "") + text + units[i];
  };
  const elapsed = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return s + "s";
    if (s < 3600) return Math.floor(s / 60) + "m";
    if (s < 86400) return Math.floor(s / 3600) + "h" + (s < 36000 && s % 3600 >= 60 ? " " + Math.floor((s % 3600) / 60) + "m" : "");
    return Math.floor(s / 86400) + "d";
  };

  const fmt = (ig.fmt = {
    /** 12345678.25 → "12,345,678.25", exact for Big too. */
    count: (n) => (n === null || n === undefined ? "–" : String(n).replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","))),
    /** 48122 → "48.1k" */
    short: (n) => scaled(n, ["", "k", "M", "G", "T"], 1000),
    /** events per second → "0.4/s", "96/s", "1.9k/s" */
    rate: (x) => {
      const value = Number(x) || 0;
      if (value <= 0) return "0/s";
      if (value < 0.1) return "<0.1/s";
      return (value < 10 ? value.toFixed(1).replace(/\.0$/, "") : scaled(Math.round(value), ["", "k", "M"], 1000)) + "/s";
    },
    bytes: (n) => scaled(n, [" B", " kB", " MB", " GB", " TB"], 1000),
    /** How long since: "45s", "10m", "2h 5m", "3d". */
    age: (when) => (when ? elapsed((Date.now() - ms(when)) / 1000) : "–"),
    ago: (when) => {
      if (!when) return "–";
      const s = (Date.now() - ms(when)) / 1000;
      return s < 3 ? "just now" : elapsed(s) + " ago";
    },
    /** Milliseconds → "820 ms", "4.2 s", "10m 19s", "2h 05m", "3d 4h". */
    duration: (n) => {
      const value = Number(n);
      if (!Number.isFinite(value)) return "–";
      if (value < 1000) return Math.max(0, Math.round(value)) + " ms";
      if (value < 10000) return (value / 1000).toFixed(1).replace(/\.0$/, "") + " s";
      const s = Math.floor(value / 1000);
      if (s < 60) return s + "s";
      if (s < 3600) return Math.floor(s / 60) + "m " + pad(s % 60) + "s";
      if (s < 86400) return Math.floor(s / 3600) + "h " + pad(Math.floor((s % 3600) / 60)) + "m";
      return Math.floor(s / 86400) + "d " + Math.floor((s % 86400) / 3600) + "h";
    },
    /** Local time of day, "14:12:29.288". */
    time: (when) => {
      if (!when) return "–";
      const d = new Date(ms(when));
      return pad(d.getHours()) + ":" + pad(d.getMinutes()) + ":" + pad(d.getSeconds()) + "." + pad(d.getMilliseconds(), 3);
    },
    clock: (when) => fmt.time(when).slice(0, 8),
    /** Local date and time, "2026-11-25 14:12:29". */
    datetime: (when) => {
      if (!when) return "–";
      const d = new Date(ms(when));
      return d.getFullYear() + "-" + pad(d.getMonth() + 1) + "-" + pad(d.getDate()) + " " + fmt.clock(d);
    },
    /** Local date and time with all nine digits of the second's fraction. */
    exactTime: (when) => {
      const fraction = /\.(\d+)/.exec(String(when));
      return fmt.datetime(when) + "." + (fraction ? fraction[1] : "0").padEnd(9, "0").slice(0, 9);
    },
  });

  /* ---------- what is known of gadgets and targets without asking ---------- */

  let catalogue = null;
  const readCatalogue = () => {
    const node = ig.$("igdash-catalogue");
    const list = node ? JSON.parse(node.textContent) : [];
    catalogue = new Map(list.map((g) => [g.name, g]));
  };
  /** The catalogue entry of a gadget: {name, title, description, category, delivery, color, letters}. */
  ig.gadget = (name) => {
    if (!catalogue) readCatalogue();
    const words = String(name).replace(/^.*\//, "").replace(/[:@].*$/, "").replace(/_/g, " ");
    return catalogue.get(name) || { name, title: words.charAt(0).toUpperCase() + words.slice(1), description: "",
      category: "", delivery: "stream", color: "--c8", letters: words.slice(0, 2).toUpperCase() };
  };
  ig.gadgets = () => { if (!catalogue) readCatalogue(); return [...catalogue.values()]; };

  const part = (text, all) => {
    if (!text) return all;
    const names = String(text).split(",").map((s) => s.trim()).filter(Boolean);
    const out = names.filter((n) => n.startsWith("!")).map((n) => n.slice(1));
    return out.length && out.length === names.length ? "all but " + out.join(", ") : names.join(", ");
  };
  /** A session's target for people: "demo / nginx-*"; "*" = all. */
  ig.target = (target) => {
    const t = target || {};
    return part(t.namespace, "*") + " / " + part(t.pod, "*");
  };
  /** What else narrows a target: ["node worker-2", "container api", "app=nginx"]. */
  ig.targetRest = (target) => {
    const t = target || {};
    return [t.node && "node " + part(t.node, "*"), t.container && "container " + part(t.container, "*"), t.selector].filter(Boolean);
  };

  /* ---------- start ---------- */

  let isReady = false;
  const waiting = [];
  /** Call once the shell is in the document (Dash mounts it some time after the scripts ran). */
  ig.ready = (fn) => { if (isReady) fn(); else waiting.push(fn); };
  const check = () => {
    if (isReady || !ig.$("view-missing")) return isReady;
    isReady = true;
    for (const fn of waiting.splice(0)) {
      try { fn(); } catch (error) { console.error(error); }
    }
    return true;
  };
  const watcher = new MutationObserver(() => { if (check()) watcher.disconnect(); });
  watcher.observe(document.documentElement, { childList: true, subtree: true });
})();
