/* An answer as a table: any number of rows, of which only those in sight are in the page. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el, icon } = ig;
  const ROW = 28, MORE = 12, SAMPLE = 300, MAX_HEIGHT = 8000000;
  const RIGHT = { integer: true, number: true };

  const compare = (a, b) => {
    if (a === b) return 0;
    if (a === null) return 1;
    if (b === null) return -1;
    if (ig.isBig(a) || ig.isBig(b)) {
      try { const x = BigInt(String(a)), y = BigInt(String(b)); return x < y ? -1 : x > y ? 1 : 0; } catch { /* not both whole */ }
    }
    const x = typeof a === "string" ? a : Number(a), y = typeof b === "string" ? b : Number(b);
    return typeof x === typeof y ? (x < y ? -1 : 1) : typeof x === "string" ? 1 : -1;
  };

  const widths = (answer) => answer.columns.map((column, i) => {
    let longest = Math.max(column.name.length, column.type.length) + 2;
    for (const row of answer.rows.slice(0, SAMPLE)) longest = Math.max(longest, Math.min(60, ig.sql.text(row[i]).length));
    return Math.round(Math.min(440, Math.max(64, longest * 7.3 + 22)));
  });

  const rowDialog = (answer, row, number) => {
    const list = el("dl", { class: "sqlp-row" }, answer.columns.map((c, i) => el("div", {}, el("dt", {}, c.name),
      el("dd", { class: row[i] === null ? "faint" : null }, row[i] === null ? "NULL" : ig.sql.text(row[i])))));
    const copy = el("button", { class: "btn", type: "button", on: { click: () => ig.copyText(ig.sql.rowJson(answer.columns, row)) } }, icon("copy"), "Copy JSON");
    const close = el("button", { class: "btn primary", type: "button", on: { click: () => node.close() } }, "Close");
    const node = ig.dialog({ class: "dlg sqlp-dlg" }, el("h2", {}, "Row " + ig.fmt.count(number)), el("div", { class: "body", tabindex: "0" }, list), el("div", { class: "f" }, copy, close));
    close.focus();
  };
  ig.copyText = ig.copyText || (async (text) => {
    try { await navigator.clipboard.writeText(text); ig.toast("Copied", "ok"); } catch { ig.toast("This browser does not let pages copy", "warn"); }
  });

  /** Make the table of an answer. */
  ig.sql.grid = (answer) => {
    const order = answer.rows.map((_, i) => i), size = widths(answer);
    // A last text takes the room that is left; a last number stays beside its neighbours.
    const end = answer.columns.length && RIGHT[answer.columns.at(-1).type];
    const template = "minmax(52px,max-content) " + size.map((w, i) => (i === size.length - 1 && !end ? `minmax(${w}px,1fr)` : w + "px")).join(" ") + (end ? " minmax(0,1fr)" : "");
    const total = size.reduce((a, b) => a + b, 52);
    const height = Math.min(order.length * ROW, MAX_HEIGHT);
    let sorted = null, first = -1, last = -1, active = 0;

    const head = el("div", { class: "sqlp-tr sqlp-th", role: "row", "aria-rowindex": "1" }, el("div", { class: "num", role: "columnheader" }, el("span", { class: "faint" }, "#")),
      answer.columns.map((c, i) => el("div", { role: "columnheader", class: RIGHT[c.type] ? "num" : null, "aria-sort": "none" },
        el("button", { type: "button", title: `${c.name} (${c.type}): sort`, on: { click: () => sort(i) } },
          el("span", { class: "ell" }, c.name), el("small", {}, c.type), el("span", { class: "arrow", "aria-hidden": "true" })))));
    const body = el("div", { class: "sqlp-rows", role: "rowgroup", style: { height: height + "px" } });
    const table = el("div", { class: "sqlp-table", role: "table", "aria-label": "Result", "aria-rowcount": order.length + 1, "aria-colcount": answer.columns.length + 1,
      style: { "min-width": total + "px", "--cols": template } }, el("div", { role: "rowgroup", class: "sqlp-headrow" }, head), body);
    const box = el("div", { class: "sqlp-scroll", tabindex: "0", role: "region", "aria-label": "Result rows" }, table);

    const line = (at, top) => {
      const row = answer.rows[order[at]];
      return el("div", { class: ["sqlp-tr", at === active && "on"], role: "row", "aria-rowindex": at + 2, data: { at }, style: { transform: `translateY(${top}px)` } },
        el("div", { class: "num faint", role: "cell" }, ig.fmt.count(order[at] + 1)),
        answer.columns.map((c, i) => {
          const value = row[i], text = value === null ? "NULL" : ig.sql.text(value);
          return el("div", { role: "cell", class: [RIGHT[c.type] && "num", value === null && "null"], title: text.length > 24 ? text.slice(0, 2000) : null }, text);
        }));
    };
    /* Beyond some millions of pixels browsers lose count: then the scroll bar's place is scaled. */
    const scale = () => (order.length * ROW > height ? (order.length * ROW - box.clientHeight) / Math.max(1, height - box.clientHeight) : 1);
    const draw = (force) => {
      const top = box.scrollTop, factor = scale();
      const from = Math.max(0, Math.floor((top * factor) / ROW) - MORE);
      const to = Math.min(order.length, from + Math.ceil((box.clientHeight || 600) / ROW) + 2 * MORE);
      if (!force && from === first && to === last) return;
      [first, last] = [from, to];
      const shift = top - top * factor;
      const rows = [];
      for (let at = from; at < to; at++) rows.push(line(at, at * ROW + shift));
      body.replaceChildren(...rows);
    };
    const sort = (column) => {
      const down = sorted === column + 1;
      sorted = sorted === -(column + 1) ? null : down ? -(column + 1) : column + 1;
      order.sort((a, b) => a - b);
      if (sorted) order.sort((a, b) => compare(answer.rows[a][column], answer.rows[b][column]) * (sorted > 0 ? 1 : -1) || a - b);
      [...head.children].slice(1).forEach((node, i) => {
        const mine = sorted && Math.abs(sorted) === i + 1;
        node.setAttribute("aria-sort", mine ? (sorted > 0 ? "ascending" : "descending") : "none");
        node.querySelector(".arrow").textContent = mine ? (sorted > 0 ? "↑" : "↓") : "";
      });
      box.scrollTop = 0;
      draw(true);
    };
    const go = (to) => {
      active = Math.max(0, Math.min(order.length - 1, to));
      const at = active * ROW / scale();
      if (at < box.scrollTop) box.scrollTop = at;
      else if (at > box.scrollTop + box.clientHeight - 2 * ROW - 12) box.scrollTop = at - box.clientHeight + 2 * ROW + 12;
      draw(true);
    };
    box.addEventListener("scroll", () => requestAnimationFrame(() => draw(false)), { passive: true });
    new ResizeObserver(() => draw(true)).observe(box);
    body.addEventListener("click", (e) => {
      const node = e.target.closest(".sqlp-tr");
      if (!node || String(getSelection())) return;
      active = Number(node.dataset.at);
      draw(true);
      rowDialog(answer, answer.rows[order[active]], order[active] + 1);
    });
    box.addEventListener("keydown", (e) => {
      if (e.target !== box) return;
      const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 2);
      const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: order.length - 1 }[e.key];
      if (to !== undefined) { e.preventDefault(); go(to); }
      else if (e.key === "Enter" && order.length) { e.preventDefault(); rowDialog(answer, answer.rows[order[active]], order[active] + 1); }
    });
    requestAnimationFrame(() => draw(true));
    return box;
  };
})();
