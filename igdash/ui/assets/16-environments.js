/* What is known of the environments, asked now and again; which gadgets can be started and if not, why. */
(() => {
  "use strict";
  const ig = window.igdash;
  const EVERY_MS = 20000, RETRY_MS = 3000;
  const KINDS = { ig: "local ig", "ig-daemon": "ig daemon", kubernetes: "Kubernetes", "kubectl-gadget": "kubectl gadget", replay: "replay" };
  const listeners = new Set();
  const environments = (ig.environments = { list: [], loaded: false });
  let timer = 0;

  environments.onChange = (fn) => { listeners.add(fn); if (environments.loaded) fn(environments.list); return () => listeners.delete(fn); };
  environments.kind = (kind) => KINDS[kind] || kind;

  /** "" when some environment can run the gadget, else the reason for people. */
  environments.whyNot = (gadget) => {
    const list = environments.list;
    if (!list.length) return environments.loaded ? "No environment is configured." : "";
    const offering = list.filter((e) => !e.gadgets || !e.gadgets.length || e.gadgets.includes(gadget));
    if (!offering.length) {
      return list.length === 1 ? `Not available in ${list[0].name}.` : "Not available in any environment.";
    }
    if (offering.some((e) => e.health !== "down")) return "";
    const down = offering[0];
    return `${down.name} is down${down.reason ? ": " + down.reason : "."}`;
  };

  /** {connected, expected} of an environment's nodes, null where nothing tells. */
  environments.coverage = (e) => (e.coverage && e.coverage.length
    ? { connected: e.coverage.filter((n) => n.state === "connected").length, expected: e.coverage.length } : null);

  environments.refresh = async () => {
    clearTimeout(timer);
    let wait = EVERY_MS;
    try {
      const answer = await ig.api("/api/environments");
      /* When it is tried again changes all the time and is no news. */
      const text = JSON.stringify(answer.environments, (key, value) => (key === "next_try" ? undefined : value));
      if (text !== environments.text) {
        Object.assign(environments, { list: answer.environments, text, loaded: true });
        for (const fn of [...listeners]) {
          try { fn(environments.list); } catch (error) { console.error(error); }
        }
      } else answer.environments.forEach((e, i) => { environments.list[i].next_try = e.next_try; });
    } catch { wait = RETRY_MS; }
    timer = setTimeout(environments.refresh, document.hidden ? EVERY_MS * 3 : wait);
  };

  environments.refresh();
})();
