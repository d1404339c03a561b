/* Toasts and the one question box. A native <dialog> holds the focus, hides what is behind it from
   screen readers and closes on Esc without any help. */
(() => {
  "use strict";
  const ig = window.igdash;
  const STAY_MS = { info: 4500, ok: 4000, warn: 7000, err: 12000 };
  const ICONS = { info: "info", ok: "check", warn: "warn", err: "warn" };

  /* A popover, so that it is also seen above an open dialog. */
  const region = () => {
    const node = ig.$("toasts");
    node.setAttribute("popover", "manual");
    return node;
  };
  const raise = () => {
    const node = region();
    if (node.matches(":popover-open")) node.hidePopover();
    if (node.children.length) node.showPopover();
  };

  /** Say something in passing. kind: info | ok | warn | err. Answers a function that takes it away. */
  ig.toast = (text, kind = "info") => {
    const urgent = kind === "err" || kind === "warn";
    const close = () => { clearTimeout(timer); node.remove(); if (!region().children.length) raise(); };
    const node = ig.el("div", { class: ["toast", kind], role: urgent ? "alert" : "status" },
      ig.el("span", { class: { ok: "t-ok", warn: "t-warn", err: "t-err" }[kind] || "t-accent", style: { "margin-top": "2px" } }, ig.icon(ICONS[kind] || "info")),
      ig.el("div", {}, text),
      ig.el("button", { class: "btn ghost s icon", type: "button", "aria-label": "Dismiss", on: { click: () => close() } }, ig.icon("close")));
    for (const old of [...region().children]) if (old.textContent === node.textContent) old.remove();
    region().append(node);
    const passing = [...region().children].filter((one) => !one.classList.contains("keep"));
    for (const old of passing.slice(0, -4)) old.remove();
    raise();
    let timer = setTimeout(close, STAY_MS[kind] || STAY_MS.info);
    node.addEventListener("pointerenter", () => clearTimeout(timer));
    node.addEventListener("pointerleave", () => { timer = setTimeout(close, 2000); });
    return close;
  };

  /** Show a card among them that stays. Answers a function that takes it away. */
  ig.toast.keep = (node) => {
    node.classList.add("toast", "keep");
    region().append(node);
    raise();
    return () => { node.remove(); if (!region().children.length) raise(); };
  };

  let titles = 0;
  /** Open a <dialog class="dlg">; it removes itself when closed. Clicks on the backdrop close it. */
  ig.dialog = (attrs, ...children) => {
    const node = ig.el("dialog", Object.assign({ class: "dlg" }, attrs), ...children);
    const heading = node.querySelector("h2");
    if (heading && !node.hasAttribute("aria-label")) {
      heading.id = heading.id || "dlg-title-" + ++titles;
      node.setAttribute("aria-labelledby", heading.id);
    }
    let pressed = null;
    node.addEventListener("pointerdown", (e) => { pressed = e.target; });
    node.addEventListener("click", (e) => { if (e.target === node && pressed === node) node.close(); });
    node.addEventListener("close", () => node.remove());
    document.body.append(node);
    node.showModal();
    return node;
  };

  /** Ask once. Answers true when the action was chosen. `danger` (default) paints the action red. */
  ig.confirm = (text, { action = "Continue", title = "Are you sure?", danger = true, cancel = "Cancel" } = {}) =>
    new Promise((resolve) => {
      let answer = false;
      const yes = ig.el("button", { class: ["btn", danger ? "danger fill" : "primary"], type: "button",
        on: { click: () => { answer = true; node.close(); } } }, action);
      const no = ig.el("button", { class: "btn", type: "button", on: { click: () => node.close() } }, cancel);
      const node = ig.dialog({ class: "dlg ask", role: "alertdialog" }, ig.el("h2", {}, title), ig.el("p", {}, text),
        ig.el("div", { class: "f" }, no, yes));
      node.addEventListener("close", () => resolve(answer));
      yes.focus();
    });
})();
