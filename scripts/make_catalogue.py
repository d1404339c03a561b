"""Make `igdash/data/gadgets.json` from what a real Inspektor Gadget answered and our own texts.

    python scripts/make_catalogue.py GADGETINFO_FOLDER CATALOGUE_JSON [OUTPUT]

GADGETINFO_FOLDER holds one GadgetInfo per gadget as `ig daemon` answered it: fields, kinds, flags,
column annotations and parameters are taken from there. CATALOGUE_JSON adds the descriptions and
categories. The same input gives the same bytes.

The answers come from a daemon on a plain host. The catalogue is written as a server on Kubernetes
would describe it (k8s columns shown, endpoints with a `k8s` object); `domain.commands.schema_for`
turns that back for a host.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parent.parent / "igdash" / "data" / "gadgets.json"

KINDS = {
    0: "Invalid", 1: "Bool", 2: "Int8", 3: "Int16", 4: "Int32", 5: "Int64", 6: "Uint8",
    7: "Uint16", 8: "Uint32", 9: "Uint64", 10: "Float32", 11: "Float64", 12: "String",
    13: "CString", 14: "Bytes",
}  # fmt: skip
ARRAY_BIT = 0x1000_0000

EMPTY, HIDDEN, UNREFERENCED = 1, 4, 32  # field flags

WORDS = {
    "tcp": "TCP", "sni": "SNI", "dns": "DNS", "ssl": "SSL", "cpu": "CPU", "gpu": "GPU",
    "cuda": "CUDA", "lsm": "LSM", "bpfstats": "eBPF programs", "blockio": "block I/O",
    "oomkill": "OOM kill", "tcpdrop": "TCP drops", "tcpretrans": "TCP retransmissions",
    "tcprtt": "TCP round trips", "fsslower": "slow file operations", "pid": "process",
}  # fmt: skip

TITLES = {
    "advise_networkpolicy": "Advise network policy",
    "bpfstats": "Top eBPF programs",
    "deadlock": "Deadlock",
    "fdpass": "Trace fd passing",
    "fsnotify": "Trace fsnotify",
    "gpu_top": "Top GPU",
    "gpu_top_per_pid": "Top GPU per process",
    "tcpdump": "tcpdump",
    "traceloop": "Traceloop",
    "ttysnoop": "TTY snoop",
    "trace_init_module": "Trace module loads",
}

DESCRIPTIONS = {
    "snapshot_file": "Open files of all processes, once.",
    "snapshot_process": "Running processes, once.",
    "snapshot_socket": "TCP and UDP sockets in each network namespace, once.",
    "top_process": "CPU and memory of each process, every few seconds.",
    "top_tcp": "Bytes sent and received by TCP connection, every second.",
}

CATEGORIES = ("trace", "top", "snapshot", "profile", "advise", "packets")

PLATFORM_PREFIXES = ("operator.otel-metrics.", "operator.ustack.", "operator.filter.")
PLATFORM_PARAMS = {
    "operator.oci.annotate",
    "operator.oci.pull",
    "operator.oci.validate-metadata",
    "operator.oci.ebpf.trace-pipe",
    "operator.oci.ebpf.map-fetch-count",
    "operator.oci.ebpf.collect-build-id",
    "operator.oci.ebpf.collect-otel-stack",
    "operator.oci.ebpf.ig_build_id_max_entries",
}
PARAM_TEXTS = {
    "operator.filter.filter": "keep only rows that match: field==value, field!=value, field~regex, "
    "field>=number, comma separated",
    "operator.filter.filter-expr": "keep only rows for which this expression is true",
    "operator.limiter.max-entries": "most rows per array, -1 = all",
    "operator.sort.sort": "fields to sort each array by, comma separated, - before a name = descending",
    "operator.oci.annotate": "annotations to set, source.field:key=value, comma separated",
    "operator.oci.pull": "when to pull the gadget's image",
    "operator.oci.validate-metadata": "check the image's metadata before it runs",
    "operator.otel-metrics.otel-metrics-name": "name under which metrics are exported",
    "operator.otel-metrics.otel-metrics-print-interval": "time between printed metrics",
    "operator.otel-metrics.otel-metrics-exporter": "exporter for metrics",
    "operator.ustack.symbolizers": "how user stacks get their symbols",
    "operator.ustack.debuginfod-cache-path": "folder with debuginfod files",
    "operator.LocalManager.containername": "container name in the runtime",
    "operator.LocalManager.host": "also what happens outside of containers",
    "operator.LocalManager.k8s-containername": "container name in the pod",
    "operator.LocalManager.k8s-namespace": "Kubernetes namespace",
    "operator.LocalManager.k8s-podname": "pod name",
    "operator.LocalManager.k8s-selector": "label selector, key=value, comma separated",
    "operator.LocalManager.runtime-containerimage-digest": "digest of the container's image",
    "operator.LocalManager.runtime-containerimage-id": "id of the container's image",
}
SHARED_PARAMS = (
    *(f"operator.oci.ebpf.{name}" for name in ("comm", "pid", "tid", "uid", "gid")),
    "operator.sort.sort",
    "operator.limiter.max-entries",
    "operator.oci.ebpf.map-fetch-interval",
)

KUBERNETES_ENDPOINT = (
    ("kind", "pod, svc or raw"),
    ("name", "object name"),
    ("namespace", "namespace of the object"),
    ("labels", "labels as k=v list, in random order"),
    ("podSelector", "selector of the service as k=v list"),
)
KUBERNETES_COLUMNS = {"k8s.node", "k8s.namespace", "k8s.podName", "k8s.containerName"}
RUNTIME_COLUMN = "runtime.containerName"


def sentence(text: str) -> str:
    """Return `text` with a capital and a full stop."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def title_of(name: str) -> str:
    """Return the gadget's title for people: trace_tcp → Trace TCP."""
    if name in TITLES:
        return TITLES[name]
    first, *rest = name.split("_")
    return " ".join([first.capitalize(), *(WORDS.get(word, word) for word in rest)])


def kind_of(raw: Any) -> str:
    """Return the kind's name; array kinds come as numbers with a bit outside of IG's enum."""
    if isinstance(raw, int):
        return KINDS[raw & ~ARRAY_BIT] + ("[]" if raw & ARRAY_BIT else "")
    return str(raw or "")


def texts_of(described: dict[str, Any], groups: dict[str, Any]) -> dict[str, str]:
    """Return the descriptions of a catalogue data source's fields by full name, groups expanded."""
    texts: dict[str, str] = {}
    for field in described["fields"]:
        name = field["name"]
        texts[name] = field.get("desc", "")
        for member in groups.get(field.get("group", ""), ()):
            texts[f"{name}.{member['name']}"] = member.get("desc", "")
    return texts


def field_of(raw: dict[str, Any], text: str) -> dict[str, Any]:
    """Return one field as `domain.gadgets.Field`, defaults left out."""
    notes = raw.get("annotations", {})
    full = raw["fullName"]
    hidden = bool(raw.get("flags", 0) & HIDDEN) or notes.get("columns.hidden") == "true"
    if full in KUBERNETES_COLUMNS:
        hidden = False
    if full == RUNTIME_COLUMN or full == "proc.parent.tid" or full.endswith(".proc.parent.tid"):
        hidden = True  # the parent's tid is shown by mistake upstream: its column is called tid too
    wanted: dict[str, Any] = {
        "name": full,
        "kind": kind_of(raw.get("kind")),
        "description": text,
        "hidden": hidden,
        "width": int(notes.get("columns.width", 16)),
        "min_width": int(notes.get("columns.minwidth", 0)),
        "max_width": int(notes.get("columns.maxwidth", 0)),
        "align_right": notes.get("columns.alignment") == "right",
        "ellipsis": notes.get("columns.ellipsis", "end"),
        "alias": notes.get("columns.alias", ""),
        "template": notes.get("template", ""),
        "one_of": [v.strip() for v in notes.get("value.one-of", "").split(",") if v.strip()],
        "in_json": notes.get("json.skip") != "true",
    }
    return compact(wanted, {"width": 16, "ellipsis": "end", "in_json": True})


def compact(value: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Leave out what equals its default (empty, unless `defaults` says otherwise)."""
    return {
        k: v
        for k, v in value.items()
        if (v != defaults[k] if k in defaults else v not in ("", 0, []))
    }


def fields_of(source: dict[str, Any], texts: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the fields in IG's column order, without groups and what is never sent."""
    for raw in sorted(source["fields"], key=lambda f: f.get("order", 0)):
        if raw.get("flags", 0) & (EMPTY | UNREFERENCED):
            continue
        full = raw["fullName"]
        yield field_of(raw, texts.get(full, ""))
        if "type:gadget_l4endpoint_t" in raw.get("tags", ()):
            for name, text in KUBERNETES_ENDPOINT:
                yield {
                    "name": f"{full}.k8s.{name}",
                    "kind": "String",
                    "description": text,
                    "hidden": True,
                }


def is_advanced(gadget: str, key: str) -> bool:
    """Whether a parameter is folded in the form: not the gadget's own filter or option."""
    if gadget == "trace_lsm" and key.startswith("operator.oci.ebpf.trace-"):
        return key != "operator.oci.ebpf.trace-all"
    return key in PLATFORM_PARAMS or key.startswith(PLATFORM_PREFIXES)


def param_text(gadget: str, key: str, texts: dict[str, str]) -> str:
    """Return the description of one parameter."""
    if key in texts:
        return sentence(texts[key])
    if gadget == "trace_lsm" and key.startswith("operator.oci.ebpf.trace-"):
        return f"Trace the hook {key.removeprefix('operator.oci.ebpf.trace-')}."
    base, _, source = key.rpartition(".")
    if base in PARAM_TEXTS:
        return sentence(PARAM_TEXTS[base] + f" (data source {source})")
    return sentence(PARAM_TEXTS.get(key, ""))


def param_order(param: dict[str, Any]) -> tuple[bool, bool, int, str]:
    """Return the place of a parameter in the form: the gadget's own, those many share, the rest."""
    key = param["key"]
    shared = SHARED_PARAMS.index(key) + 1 if key in SHARED_PARAMS else 0
    return param.get("target", False), param.get("advanced", False), shared, key


def params_of(gadget: str, info: dict[str, Any], texts: dict[str, str]) -> list[dict[str, Any]]:
    """Return the parameters as `domain.gadgets.Param`, defaults left out, own ones first."""
    keys = {p.get("prefix", "") + p["key"] for p in info["params"]}
    single = len(info["dataSources"]) == 1 and "operator.filter.filter" in keys
    found = []
    for raw in info["params"]:
        key = raw.get("prefix", "") + raw["key"]
        if single and key.startswith(("operator.filter.filter.", "operator.filter.filter-expr.")):
            continue  # says the same as operator.filter.filter when there is but one source
        wanted = {
            "key": key,
            "name": raw["key"],
            "type": raw.get("typeHint", ""),
            "default": raw.get("defaultValue", ""),
            "title": raw.get("title")
            or raw["key"].replace("-", " ").replace("_", " ").capitalize(),
            "description": param_text(gadget, key, texts),
            "alias": raw.get("alias", ""),
            "one_of": raw.get("possibleValues", []),
            "required": bool(raw.get("isMandatory")),
            "target": raw.get("prefix") == "operator.LocalManager.",
            "advanced": is_advanced(gadget, key),
        }
        found.append(compact(wanted, {}))
    return sorted(found, key=param_order)


def delivery_of(info: dict[str, Any], described: dict[str, Any]) -> str:
    """Return how the gadget's output comes, from the annotations the server sent."""
    if info["name"].startswith("advise_") or described["delivery"] == "on stop":
        return "at_stop"
    arrays = [s for s in info["dataSources"] if s["type"] == 2]
    if not arrays:
        return "stream"
    notes = arrays[0].get("annotations", {})
    once = notes.get("fetch-interval") == "0" and notes.get("fetch-count") == "1"
    return "once" if once else "interval"


def gadget_of(
    info: dict[str, Any], described: dict[str, Any], common: dict[str, Any]
) -> dict[str, Any]:
    """Return one gadget as `domain.gadgets.Gadget`, defaults left out."""
    name = info["name"]
    by_name = {s["name"]: texts_of(s, common["field_groups"]) for s in described["data_sources"]}
    texts = {p["key"]: p["desc"] for g in common["param_groups"].values() for p in g}
    texts |= {p["key"]: p["desc"] for p in described["params"]}
    sources = [
        {
            "name": source["name"],
            "array": source["type"] == 2,
            "fields": list(fields_of(source, by_name.get(source["name"], {}))),
            "annotations": dict(sorted(source.get("annotations", {}).items())),
        }
        for source in info["dataSources"]
    ]
    return {
        "name": name,
        "title": title_of(name),
        "description": DESCRIPTIONS.get(name) or sentence(described["desc"]),
        "category": described["category"],
        "delivery": delivery_of(info, described),
        "sources": sources,
        "params": params_of(name, info, texts),
        "notes": described["notes"],
    }


def main(arguments: list[str]) -> int:
    """Write the catalogue; return the exit code."""
    if len(arguments) not in (2, 3):
        sys.stderr.write(f"usage: {__doc__.splitlines()[2].strip()}\n" if __doc__ else "usage\n")
        return 2
    folder, catalogue = Path(arguments[0]), json.loads(Path(arguments[1]).read_text("utf-8"))
    described = {g["name"]: g for g in catalogue["gadgets"]}
    gadgets = []
    for path in sorted(folder.glob("*.json")):
        info = json.loads(path.read_text("utf-8")) | {"name": path.stem}
        gadgets.append(gadget_of(info, described[path.stem], catalogue["common"]))
    gadgets.sort(key=lambda g: (CATEGORIES.index(g["category"]), g["name"]))
    lines = [json.dumps(g, ensure_ascii=False, separators=(",", ":")) for g in gadgets]
    output = Path(arguments[2]) if len(arguments) == 3 else OUTPUT
    output.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
    sys.stderr.write(f"{len(gadgets)} gadgets in {output.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
