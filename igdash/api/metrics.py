"""Figures in Prometheus' text format. Labels are bounded (gadget, state): never a session's id,
pod or user, which would make a new series for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from igdash import __version__
from igdash.services.web import WebServices

Sample = tuple[Mapping[str, str], float]


def _label(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_label(each)}"' for key, each in labels.items())
        lines.append(f"{name}{{{inside}}} {value:g}" if inside else f"{name} {_number(value)}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


_TOTALS = {
    "sessions": ("igdash_sessions_stored", "Sessions stored, ended ones included."),
    "events": ("igdash_events_stored", "Events stored."),
    "lost": ("igdash_events_lost", "Events known to be lost, over all loss records."),
    "malformed": ("igdash_lines_malformed", "Lines kept aside because they were no events."),
    "bytes": ("igdash_payload_bytes", "Bytes of event text stored."),
    "database_bytes": ("igdash_database_bytes", "Size of the database."),
}


def exposition(services: WebServices) -> str:
    """Return all figures. Raises `StoreError` when the store does not answer."""
    pulse = services.health.pulse()
    totals = services.health.totals()
    parts = [
        _family("igdash_info", "gauge", "Version.", [({"version": __version__}, 1)]),
        _family("igdash_collector_up", "gauge", "Whether it answers.", [({}, float(pulse.up))]),
        _family(
            "igdash_sessions",
            "gauge",
            "Sessions that have not ended.",
            [
                ({"gadget": gadget, "state": state}, count)
                for (gadget, state), count in sorted(services.health.live_counts().items())
            ],
        ),
        _family(
            "igdash_sockets", "gauge", "Open WebSockets.", [({}, float(services.hub.readers()))]
        ),
    ]
    parts += [
        _family(name, "gauge", text, [({}, float(totals[key]))])
        for key, (name, text) in _TOTALS.items()
        if key in totals
    ]
    stats = pulse.stats
    if stats is not None:
        figures = {
            "igdash_write_rate": ("Events written per second.", stats.rate),
            "igdash_write_lag_seconds": ("Age of the oldest uncommitted byte.", stats.lag_ms / 1e3),
            "igdash_backlog_bytes": ("Spooled bytes that wait.", stats.backlog_bytes),
            "igdash_collector_rss_bytes": ("Memory of the collector.", stats.rss_bytes),
        }
        parts += [_family(n, "gauge", text, [({}, float(v))]) for n, (text, v) in figures.items()]
    return "".join(parts)
