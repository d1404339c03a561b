/* The form of a scheduled export: a dialog; every wrong field says why, in the server's words. */
(() => {
  "use strict";
  const ig = window.igdash;
  const { el } = ig;
  const CRONS = { "0 * * * *": "every full hour", "*/15 * * * *": "every quarter of an hour", "0 2 * * *": "every night at 2", "0 6 * * 1": "Mondays at 6" };
  const STATES = ["running", "stopped", "interrupted", "failed"];
  ig.crons = CRONS;
  let serial = 0;

  const here = () => { try { return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC"; } catch { return "UTC"; } };
  const zones = () => { try { return Intl.supportedValuesOf("timeZone"); } catch { return []; } };

  /** A labelled control; `key` is the field's name in the server's problems. */
  const field = (form, key, label, control, { help, wide } = {}) => {
    const id = "exp-f-" + serial++;
    control.id = id;
    const note = el("small", { id: id + "-note" }, help || "");
    control.setAttribute("aria-describedby", note.id);
    const node = el("div", { class: wide ? "wide" : null }, el("label", { for: id }, label), control, note);
    form[key] = { control, node, tell: (why) => {
      control.setAttribute("aria-invalid", why ? "true" : "false");
      note.textContent = why || help || "";
      note.classList.toggle("exp-bad", !!why);
    } };
    return node;
  };
  const input = (value, attrs) => el("input", Object.assign({ class: "input", type: "text", autocomplete: "off", spellcheck: "false", value: value ?? "" }, attrs));
  const select = (value, options) => {
    const node = el("select", { class: "form-select" }, options.map(([key, text]) => el("option", { value: key }, text)));
    node.value = value;
    return node;
  };
  const list = (values) => {
    const id = "exp-l-" + serial++;
    return [id, el("datalist", { id }, values.map(([value, text]) => el("option", { value }, text || "")))];
  };

  const fields = (form, s, all) => {
    const what = s.what, when = s.when;
    const [crons, cronList] = list(Object.entries(CRONS)), [zone, zoneList] = list(zones().map((z) => [z]));
    const gadgets = ig.gadgets().map((g) => [g.name, `${g.title} (${g.name})`]);
    if (what.gadget && !gadgets.some(([name]) => name === what.gadget)) gadgets.push([what.gadget, what.gadget]);
    const environments = [...new Set([...ig.environments.list.map((e) => e.name), what.environment].filter(Boolean))].map((n) => [n, n]);
    const where = all.buckets.length ? ` or below ${all.buckets.join(", ")}` : "";
    return [
      field(form, "name", "Name", input(s.name, { maxlength: "200", required: true }), { wide: true }),
      el("h3", {}, "What"),
      field(form, "what", "Export", select(what.sql ? "sql" : "sessions", [["sessions", "What is new in sessions"], ["sql", "The answer to a statement, whole each time"]]), { wide: true }),
      field(form, "what.gadget", "Gadget", select(what.gadget, [["", "Any"], ...gadgets])),
      field(form, "what.namespace", "Namespace of the session", input(what.namespace, { placeholder: "any" })),
      field(form, "what.environment", "Environment", select(what.environment, [["", "Any"], ...environments])),
      field(form, "what.states", "State when met first", select(what.states.join(","), [["", "Any"], ...STATES.map((x) => [x, x]), ...(what.states.length > 1 ? [[what.states.join(","), what.states.join(", ")]] : [])])),
      field(form, "what.sessions", "Only these sessions", input(what.sessions.join(", "), { placeholder: "IDs, comma separated; empty: all" }), { wide: true }),
      field(form, "what.filter", "Only events that match", input(what.filter, { class: "input mono", placeholder: 'e.g. comm = curl and dst.port = 443' }), { wide: true }),
      field(form, "what.sql", "Statement", el("textarea", { class: "input", rows: "4", spellcheck: "false", value: what.sql }), { wide: true, help: "One SELECT over the views, at most 100,000 rows." }),
      el("h3", {}, "When"),
      field(form, "when", "Timetable", select(when.every ? "every" : "cron", [["cron", "Cron"], ["every", "Interval"]])),
      field(form, "when.cron", "Minute, hour, day, month, weekday", input(when.cron || "0 * * * *", { list: crons, class: "input mono" })),
      field(form, "when.every", "Every … minutes", input(when.every ? String(+(when.every / 60).toFixed(6)) : "60", { inputmode: "decimal" })),
      field(form, "when.zone", "Time zone", input(when.zone, { list: zone })), cronList, zoneList,
      el("h3", {}, "Files"),
      field(form, "format", "Format", select(s.format, all.formats.map((f) => [f, { jsonl: "JSONL", "jsonl.gz": "JSONL, gzipped", "jsonl.zst": "JSONL, zstd", csv: "CSV", parquet: "Parquet" }[f] || f]))),
      field(form, "keep", "Keep the files of so many runs", input(String(s.keep), { inputmode: "numeric" }), { help: "0: of all." }),
      field(form, "destination", "Folder", input(s.destination, { placeholder: "named after the schedule" }), { wide: true, help: `Below ${all.folder}${where}.` }),
    ];
  };

  const shown = (form) => {
    const sql = form.what.control.value === "sql", every = form.when.control.value === "every";
    for (const [key, one] of Object.entries(form)) {
      if (key === "what.sql") one.node.hidden = !sql;
      else if (key.startsWith("what.")) one.node.hidden = sql;
    }
    form["when.cron"].node.hidden = every;
    form["when.zone"].node.hidden = every;
    form["when.every"].node.hidden = !every;
  };
  const split = (text) => text.split(/[\s,]+/).filter(Boolean);
  const read = (form, paused) => {
    const value = (key) => form[key].control.value.trim();
    const sql = value("what") === "sql", every = value("when") === "every";
    return {
      name: value("name"), format: value("format"), destination: value("destination"), keep: Number(value("keep") || 0), paused,
      what: sql ? { sql: value("what.sql") } : { gadget: value("what.gadget"), namespace: value("what.namespace"), environment: value("what.environment"),
        states: split(value("what.states")), sessions: split(value("what.sessions")), filter: value("what.filter") },
      when: every ? { every: Math.round(Number(value("when.every")) * 60000) / 1000 } : { cron: value("when.cron"), zone: value("when.zone") || "UTC" },
    };
  };
  const wrong = (form, body) => {
    if (body.what.sql === "") return { "what.sql": "write a statement" };
    if (!Number.isInteger(body.keep)) return { keep: "must be a whole number" };
    if ("every" in body.when && !(body.when.every > 0)) return { "when.every": "must be a number of minutes" };
    return null;
  };
  const tell = (form, problems, rest) => {
    const left = { ...problems };
    let first = null;
    for (const [key, one] of Object.entries(form)) {
      one.tell(left[key]);
      if (left[key] && !one.node.hidden) first = first || one.control;
      if (!one.node.hidden) delete left[key];
    }
    ig.setText(rest, Object.entries(left).map(([key, why]) => `${key}: ${why}`).join("; "));
    if (first) first.focus();
  };

  const EMPTY = () => ({ name: "", format: "jsonl", destination: "", keep: 0, paused: false, what: { sessions: [], gadget: "", namespace: "", environment: "", states: [], filter: "", sql: "" }, when: { cron: "0 * * * *", every: null, zone: here() } });

  /** Make or edit a schedule; `saved(answer)` is called when the server took it. */
  ig.scheduleForm = (schedule, all, saved) => {
    const form = {}, s = schedule || EMPTY();
    const rest = el("small", { class: "exp-bad", role: "alert" });
    const save = el("button", { class: "btn primary", type: "submit" }, schedule ? "Save" : "Make the schedule");
    const submit = async (event) => {
      event.preventDefault();
      const body = read(form, s.paused), problems = wrong(form, body);
      tell(form, problems || {}, rest);
      if (problems) return;
      save.classList.add("busy");
      try {
        const path = "/api/schedules" + (schedule ? "/" + encodeURIComponent(schedule.id) : "");
        const answer = await ig.api(path, { method: schedule ? "PUT" : "POST", body });
        node.close();
        saved(answer);
      } catch (error) {
        const told = error.problem && error.problem.problems;
        tell(form, told && Object.keys(told).length ? told : { "Not saved": error.message }, rest);
      } finally {
        save.classList.remove("busy");
      }
    };
    const node = ig.dialog({ class: "dlg exp-form" }, el("h2", {}, schedule ? "Edit the schedule" : "New schedule"),
      el("form", { novalidate: true, on: { submit } },
        el("div", { class: "body" }, el("div", { class: "exp-fields" }, fields(form, s, all))),
        el("div", { class: "f" }, rest, el("button", { class: "btn", type: "button", on: { click: () => node.close() } }, "Cancel"), save)));
    for (const key of ["what", "when"]) form[key].control.addEventListener("change", () => shown(form));
    shown(form);
    form.name.control.focus();
    return node;
  };
})();
