"""What is known of a gadget before it runs: its fields, parameters and how it delivers.

Shapes follow IG's own GadgetInfo (pkg/gadget-service/api/api.proto: Field, DataSource, Param);
texts for people come from igdash's catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Category(StrEnum):
    """Where the catalogue page files a gadget."""

    TRACE = "trace"
    TOP = "top"
    SNAPSHOT = "snapshot"
    PROFILE = "profile"
    ADVISE = "advise"
    PACKETS = "packets"


class Delivery(StrEnum):
    """How a gadget's output comes: one event at a time, or arrays of rows per tick."""

    STREAM = "stream"
    """One JSON object per event."""
    INTERVAL = "interval"
    """One JSON array per interval (top_*, profile_*)."""
    ONCE = "once"
    """One array, then nothing until stopped (snapshot_*)."""
    AT_STOP = "at_stop"
    """One result after the stop (advise_*)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a data source.

    `name` is the dotted path in the event (`proc.comm`); `kind` is IG's kind (`Uint32`, `String`,
    `Uint64[]` …, empty for a mere group); `width` and the `min`/`max` are in characters.
    `template` is IG's preset (`timestamp`, `l4endpoint`, `comm` …), `one_of` the values it can take.
    """

    name: str
    kind: str = ""
    description: str = ""
    hidden: bool = False
    width: int = 16
    min_width: int = 0
    max_width: int = 0
    align_right: bool = False
    ellipsis: str = "end"
    alias: str = ""
    template: str = ""
    one_of: tuple[str, ...] = ()
    in_json: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """One stream of rows of a gadget; `array` means rows come as an array per tick."""

    name: str
    array: bool = False
    fields: tuple[Field, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def merged_sources(schemas: Iterable[tuple[DataSource, ...]]) -> tuple[DataSource, ...]:
    """Return one set of data sources for several, the first of them winning where they differ.

    Fields that only a later one has come last, so that no column is missing.
    """
    merged: dict[str, DataSource] = {}
    for sources in schemas:
        for source in sources:
            known = merged.setdefault(source.name, source)
            names = {one.name for one in known.fields}
            more = tuple(one for one in source.fields if one.name not in names)
            if more:
                merged[source.name] = replace(known, fields=known.fields + more)
    return tuple(merged.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter of a gadget.

    `key` is IG's full wire key (`operator.oci.ebpf.pid`); `name` the short one users type
    (`pid`), which is also the flag of `ig run` and the key of a session's `params`; `type` is IG's
    typeHint (`bool`, `uint32`, `int`, `duration`, `[]string`, `string`, empty = text).
    `advanced` ones are folded in the form; `target` ones are set by the session's target instead
    and are never listed in the form.
    """

    key: str
    name: str
    type: str = ""
    default: str = ""
    title: str = ""
    description: str = ""
    alias: str = ""
    one_of: tuple[str, ...] = ()
    required: bool = False
    advanced: bool = False
    target: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gadget:
    """One gadget of the catalogue: `name` as IG has it (`trace_tcp`), `title` for people."""

    name: str
    title: str
    description: str
    category: Category
    delivery: Delivery
    sources: tuple[DataSource, ...] = ()
    params: tuple[Param, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_array(self) -> bool:
        """Whether its rows come in ticks."""
        return any(source.array for source in self.sources)

    def param(self, name: str) -> Param | None:
        """Return the parameter of this short name, full key or alias, or None."""
        return next(
            (p for p in self.params if name in (p.name, p.key) or (p.alias and name == p.alias)),
            None,
        )
