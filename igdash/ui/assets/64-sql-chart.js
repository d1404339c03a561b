/* An answer as a chart: one column across, one up, as bars or a line. SVG, as a picture of 500 values
   costs a few milliseconds that way. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, svg } = ig;
  const MOST = 500, LEFT = 64, BOTTOM = 46, TOP = 12, RIGHT = 12, MOST_HIGH = 480;
  const SLOT = 54, LETTER = 6.7; // px along the axis for a label, and for one of its letters
  const numeric = (type) => type === "integer" || type === "number";

  /* Counts and sums are written last; numbers before them are often ports and ids. */
  const guess = (columns) => {
    const y = columns.map((c, i) => [c, i]).reverse().find(([c, i]) => numeric(c.type) && (i > 0 || columns.length === 1));
    const x = columns.findIndex((c, i) => !y || i !== y[1]);
    return { x: Math.max(0, x), y: y ? y[1] : -1 };
  };
  const step = (top) => {
    const raw = top / 4, power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw);
  };
  const short = (value, letters) => {
    const t = ig.sql.text(value);
    if (/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(t)) return t.slice(11, 19);
    return t.length > letters ? t.slice(0, letters - 1) + "…" : t;
  };

  /* Drawn for the place there is, so that its letters have their size on a phone, too. */
  const picture = (points, kind, names, W, H) => {
    const high = Math.max(0, ...points.map((p) => p.y)), low = Math.min(0, ...points.map((p) => p.y));
    const tick = step((high - low) || 1), top = Math.ceil(high / tick) * tick || tick, bottom = Math.floor(low / tick) * tick;
    const width = (W - LEFT - RIGHT) / Math.max(1, points.length);
    const x = (i) => LEFT + (i + 0.5) * width, y = (v) => TOP + ((top - v) / (top - bottom)) * (H - TOP - BOTTOM);
    const node = svg("svg", { class: "sqlp-svg", width: W, height: H, viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${names[1]} by ${names[0]}, ${points.length} values, ${ig.fmt.count(low)} to ${ig.fmt.count(high)}` });
    for (let v = bottom; v <= top + tick / 2; v += tick) {
      node.append(svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(v), y2: y(v) }),
        svg("text", { x: LEFT - 8, y: y(v) + 4, "text-anchor": "end" }, Math.abs(v) >= 1000 ? ig.fmt.short(v) : String(Number(v.toPrecision(6)))));
    }
    const every = Math.max(1, Math.ceil(points.length / Math.max(1, Math.floor((W - LEFT - RIGHT) / SLOT))));
    const letters = Math.max(4, Math.floor((width * every) / LETTER) - 1);
    points.forEach((p, i) => { if (i % every === 0) node.append(svg("text", { x: x(i), y: H - BOTTOM + 18, "text-anchor": "middle" }, short(p.x, letters))); });
    const hover = (p) => svg("title", {}, `${ig.sql.text(p.x)}: ${ig.sql.text(p.raw)}`);
    if (kind === "line") {
      node.append(svg("path", { class: "line", d: points.map((p, i) => (i ? "L" : "M") + x(i).toFixed(1) + " " + y(p.y).toFixed(1)).join("") }));
      points.forEach((p, i) => node.append(svg("circle", { class: "point", cx: x(i), cy: y(p.y), r: points.length > 120 ? 2 : 3.5 }, hover(p))));
    } else {
      const gap = points.length > 150 ? 0 : width * 0.18;
      points.forEach((p, i) => node.append(svg("rect", { class: "barr", x: x(i) - width / 2 + gap, y: Math.min(y(p.y), y(0)), width: Math.max(0.5, width - 2 * gap), height: Math.max(0.5, Math.abs(y(p.y) - y(0))) }, hover(p))));
    }
    node.append(svg("text", { class: "axis", x: (W + LEFT) / 2, y: H - 6, "text-anchor": "middle" }, names[0]));
    return node;
  };

  /** Make the chart of an answer; `kept` {kind, x, y} by column names is where it begins, `onChange`
      hears what was chosen. */
  ig.sql.chart = (answer, kept, onChange) => {
    const { columns } = answer, auto = guess(columns);
    const find = (name, fallback) => { const i = columns.findIndex((c) => c.name === name); return i < 0 ? fallback : i; };
    const now = { kind: kept.kind === "line" ? "line" : "bar", x: find(kept.x, auto.x), y: find(kept.y, auto.y) };
    const place = el("div", { class: "sqlp-picture" });
    const choose = (label, key, wanted) => {
      const options = columns.map((c, i) => [c, i]).filter(([c]) => wanted(c)).map(([c, i]) => el("option", { value: i, selected: i === now[key] }, c.name));
      const select = el("select", { class: "form-select", "aria-label": label, on: { change: () => { now[key] = Number(select.value); draw(); } } }, options);
      return el("label", {}, el("span", { class: "muted" }, label), select);
    };
    const kind = el("div", { class: "sqlp-kinds", role: "group", "aria-label": "Kind of chart" }, ["bar", "line"].map((name) =>
      el("button", { class: "btn s toggle", type: "button", "aria-pressed": String(now.kind === name), on: { click: () => { now.kind = name; draw(); } } }, name === "bar" ? "Bars" : "Line")));
    const note = el("span", { class: "muted" });
    let points = [], size = "";
    const paint = () => {
      const wide = Math.floor(place.clientWidth), high = Math.min(MOST_HIGH, Math.floor(place.clientHeight));
      if (wide < 80 || high < 80) return; // not in the page yet
      size = wide + "x" + high;
      place.replaceChildren(points.length ? picture(points, now.kind, [columns[now.x].name, columns[now.y].name], wide, high) : el("p", { class: "muted" }, "No numbers to draw in this column."));
    };
    new ResizeObserver(() => { if (size !== Math.floor(place.clientWidth) + "x" + Math.min(MOST_HIGH, Math.floor(place.clientHeight))) paint(); }).observe(place);
    const draw = () => {
      [...kind.children].forEach((b, i) => b.setAttribute("aria-pressed", String((i ? "line" : "bar") === now.kind)));
      points = answer.rows.filter((r) => r[now.y] !== null).slice(0, MOST).map((r) => ({ x: r[now.x], y: Number(r[now.y]), raw: r[now.y] })).filter((p) => Number.isFinite(p.y));
      ig.setText(note, answer.rows.length > MOST ? `the first ${MOST} of ${ig.fmt.count(answer.rows.length)} rows` : "");
      paint();
      onChange({ kind: now.kind, x: columns[now.x].name, y: columns[now.y].name });
    };
    if (now.y < 0) return el("div", { class: "empty" }, el("h2", {}, "Nothing to draw"), el("p", {}, "A chart needs a column of numbers, for example: SELECT node, count(*) AS events FROM v_events GROUP BY node."));
    const box = el("div", { class: "sqlp-chart" }, el("div", { class: "sqlp-axes" }, kind, choose("across", "x", () => true), choose("up", "y", (c) => numeric(c.type)), note), place);
    draw();
    return box;
  };
})();
