"""GadgetInfo as igdash's own `Gadget`, and a session's spec as IG's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from igdash.domain.gadgets import Category, DataSource, Delivery, Field, Gadget, Param
from igdash.domain.sessions import SessionSpec
from igdash.sources.elements import ARRAY_BIT, FLAG_EMPTY, FLAG_UNREFERENCED, SOURCE_ARRAY
from igdash_wire import ig_pb2 as pb

FLAG_HIDDEN: Final = 4
_KINDS: Final[Mapping[int, str]] = dict(zip(pb.Kind.values(), pb.Kind.keys(), strict=True))
_TARGET_KEYS: Final = {
    "operator.KubeManager.": ("namespace", "podname", "containername", "selector"),
    "operator.LocalManager.": ("k8s-namespace", "k8s-podname", "containername", "k8s-selector"),
}
KUBERNETES: Final = "operator.KubeManager."
HOST: Final = "operator.LocalManager."


def wire_params(spec: SessionSpec, gadget: Gadget | None, manager: str) -> dict[str, str]:
    """Return IG's parameters by full key: the session's own and its target.

    `manager` is `KUBERNETES` or `HOST`. On Kubernetes an empty namespace means all on the wire;
    `all-namespaces` says it, too, so that no server fills in one of its own.
    """
    params: dict[str, str] = {}
    for name, value in spec.params.items():
        known = gadget.param(name) if gadget else None
        params[known.key if known else name] = value
    target = spec.target
    values = (target.namespace, target.pod, target.container, target.selector)
    for key, value in zip(_TARGET_KEYS[manager], values, strict=True):
        if value:
            params[manager + key] = value
    if manager == KUBERNETES and not target.namespace:
        params[manager + "all-namespaces"] = "true"
    return params


def described(info: pb.GadgetInfo, known: Gadget | None, name: str) -> Gadget:
    """Return the gadget as its server describes it; texts for people come from the catalogue."""
    sources = tuple(_source(one, known) for one in info.dataSources)
    params = tuple(
        _param(one, known) for one in sorted(info.params, key=lambda p: (p.prefix, p.key))
    )
    if known is not None:
        return replace(known, sources=sources, params=params)
    array = any(source.array for source in sources)
    return Gadget(
        name=name,
        title=name.rsplit("/", 1)[-1],
        description="Not in igdash's catalogue; described by its own metadata.",
        category=Category.TOP if array else Category.TRACE,
        delivery=Delivery.INTERVAL if array else Delivery.STREAM,
        sources=sources,
        params=params,
    )


def schema_key(info: pb.GadgetInfo) -> bytes:
    """Return what is equal for equal schemas. Parameters come in random order, so they stay out."""
    sources = sorted(info.dataSources, key=lambda one: one.id)
    return b"".join(one.SerializeToString(deterministic=True) for one in sources)


def _source(one: pb.DataSource, known: Gadget | None) -> DataSource:
    texts: Mapping[str, str] = {}
    if known is not None:
        texts = {f.name: f.description for source in known.sources for f in source.fields}
    fields = sorted(one.fields, key=lambda each: each.order)
    return DataSource(
        name=one.name,
        array=one.type == SOURCE_ARRAY,
        fields=tuple(
            _field(each, texts)
            for each in fields
            if not each.flags & (FLAG_EMPTY | FLAG_UNREFERENCED)
        ),
        annotations=dict(one.annotations),
    )


def _field(one: pb.Field, texts: Mapping[str, str]) -> Field:
    notes = one.annotations
    kind = _kind(one.kind & ~ARRAY_BIT) + ("[]" if one.kind & ARRAY_BIT else "")
    return Field(
        name=one.fullName,
        kind=kind,
        description=notes.get("description") or texts.get(one.fullName, ""),
        hidden=bool(one.flags & FLAG_HIDDEN) or notes.get("columns.hidden") == "true",
        width=_number(notes.get("columns.width"), 16),
        min_width=_number(notes.get("columns.minwidth"), 0),
        max_width=_number(notes.get("columns.maxwidth"), 0),
        align_right=notes.get("columns.alignment") == "right",
        ellipsis=notes.get("columns.ellipsis", "end"),
        alias=notes.get("columns.alias", ""),
        template=notes.get("template", ""),
        one_of=tuple(v.strip() for v in notes.get("value.one-of", "").split(",") if v.strip()),
        in_json=notes.get("json.skip") != "true",
    )


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _kind(number: int) -> str:
    """Return a kind's name; a newer server may have one that we do not know."""
    return _KINDS.get(number, f"Kind{number}")


def _param(one: pb.Param, known: Gadget | None) -> Param:
    key = one.prefix + one.key
    ours = next((p for p in known.params if p.key == key), None) if known else None
    target = any(key.startswith(manager) for manager in _TARGET_KEYS)
    return Param(
        key=key,
        name=ours.name if ours else one.key,
        type=one.typeHint,
        default=one.defaultValue,
        title=one.title or (ours.title if ours else ""),
        description=one.description or (ours.description if ours else ""),
        alias=one.alias,
        one_of=tuple(one.possibleValues),
        required=one.isMandatory,
        advanced=ours.advanced if ours else not key.startswith("operator.oci.ebpf."),
        target=target,
    )
