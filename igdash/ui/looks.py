"""Two letters and a colour per gadget, so that one is told from another before its name is read.

The colour says what the gadget is about (network, names, files, processes …) and is the same on its
card, in the sidebar and in every chart, in both themes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from igdash.domain.gadgets import Category, Gadget

_NETWORK, _TLS, _FILES, _PROFILE, _SNAPSHOT, _DNS, _TOP, _ADVISE = (f"--c{n}" for n in range(1, 9))

_BY_CATEGORY = {
    Category.TRACE: _FILES,
    Category.TOP: _TOP,
    Category.SNAPSHOT: _SNAPSHOT,
    Category.PROFILE: _PROFILE,
    Category.ADVISE: _ADVISE,
    Category.PACKETS: _DNS,
}

_BY_NAME = {
    "top_tcp": ("TT", _NETWORK),
    "trace_bind": ("BI", _NETWORK),
    "trace_dns": ("DN", _DNS),
    "trace_lsm": ("LS", _ADVISE),
    "trace_capabilities": ("CA", _ADVISE),
    "audit_seccomp": ("AS", _ADVISE),
    "trace_sni": ("SN", _TLS),
    "trace_ssl": ("SL", _TLS),
    "trace_tcp": ("TC", _NETWORK),
    "trace_tcpdrop": ("TD", _NETWORK),
    "trace_tcpretrans": ("TR", _NETWORK),
    "trace_oomkill": ("OK", _PROFILE),
    "trace_malloc": ("MA", _PROFILE),
    "trace_gpu_starvation": ("GS", _PROFILE),
    "trace_mount": ("MO", _FILES),
    "trace_signal": ("SI", _FILES),
    "snapshot_process": ("PR", _SNAPSHOT),
    "snapshot_socket": ("SO", _SNAPSHOT),
    "advise_networkpolicy": ("NP", _ADVISE),
    "advise_seccomp": ("SE", _ADVISE),
    "profile_cpu": ("CP", _PROFILE),
    "profile_cuda": ("CU", _PROFILE),
    "profile_tcprtt": ("RT", _PROFILE),
    "gpu_top": ("GT", _TOP),
    "gpu_top_per_pid": ("GP", _TOP),
    "traceloop": ("TL", _FILES),
    "ttysnoop": ("TY", _FILES),
    "tcpdump": ("PK", _DNS),
    "fsnotify": ("FN", _FILES),
    "trace_fsslower": ("SF", _FILES),
    "top_cuda_memory": ("CM", _TOP),
}


_FIRST = (
    *("trace_tcp", "trace_dns", "trace_sni", "trace_exec", "trace_open", "top_tcp", "top_process"),
    *("top_file", "snapshot_process", "snapshot_socket", "trace_signal", "trace_oomkill"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a gadget's icon is drawn: two upper-case letters, the name of a colour token."""

    letters: str
    color: str


def look(gadget: Gadget) -> Look:
    """Return the icon of a gadget; one not listed gets letters from its name, colour from its kind."""
    if gadget.name in _BY_NAME:
        letters, color = _BY_NAME[gadget.name]
        return Look(letters=letters, color=color)
    words = gadget.name.split("_")
    if gadget.category is Category.TOP and len(words) > 1:
        letters = "T" + words[1][0]
    else:
        letters = words[-1][:2] if len(words) < 3 else words[1][0] + words[2][0]
    return Look(letters=letters.upper(), color=_BY_CATEGORY[gadget.category])


def by_use(gadgets: Iterable[Gadget]) -> list[Gadget]:
    """Return the gadgets with those most asked for first; the others keep their order."""
    rank = {name: number for number, name in enumerate(_FIRST)}
    return sorted(gadgets, key=lambda gadget: rank.get(gadget.name, len(rank)))


def catalogue_entries(gadgets: Iterable[Gadget]) -> list[dict[str, str]]:
    """Return what the page's scripts need of each gadget, without its fields and parameters."""
    entries = []
    for gadget in gadgets:
        its = look(gadget)
        entries.append(
            {
                "name": gadget.name,
                "title": gadget.title,
                "description": gadget.description,
                "category": gadget.category.value,
                "delivery": gadget.delivery.value,
                "letters": its.letters,
                "color": its.color,
            }
        )
    return entries
