"""The page of a report: one file, no script, nothing from anywhere else, light and dark, on paper too.

Every text from a kernel, a pod or an attacker goes through `text`: control and bidirectional
characters are written out, then HTML is escaped. A policy in the page forbids scripts and network
on top, for whoever opens it from a mail.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from igdash import __version__
from igdash.domain.queries import Bucket, Scope, SplitBucket, Top
from igdash.domain.sessions import Session
from igdash.domain.text import visible
from igdash.domain.times import NS, format_ns
from igdash.services.csv_rows import compact, parse
from igdash.services.report_facts import Report
from igdash.services.report_style import STYLE

MAX_CELL: Final = 300
MAX_DATA: Final = 20_000
WIDTH, HEIGHT = 960, 150


def text(value: object, most: int = 4_000) -> str:
    """Return a value as HTML text: nothing in it is markup, nothing invisible."""
    shown = visible(str(value))
    if len(shown) > most:
        shown = shown[:most] + "…"
    return html.escape(shown, quote=True)


def page(report: Report) -> str:
    """Return the whole document."""
    session = report.session
    heading = session.spec.name or report.title
    body = "".join(
        [
            _head(report, heading),
            _figures(report),
            _histogram(report.bars, report.bars_scope),
            _facts(session),
            _tops(report.tops),
            _losses(report),
            _warnings(report),
            _nodes(report),
            _events(report),
            f"<footer>Made by igdash {text(__version__)} at {_time(report.made)}. Times are UTC.</footer>",
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        f"<title>{text(heading, 200)} · igdash report</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


# ---------------------------------------------------------------- parts


def _head(report: Report, heading: str) -> str:
    session = report.session
    where = [part for part in (session.spec.environment, _target(session)) if part]
    sub = f"{session.spec.gadget} · {' · '.join(where)}"
    state = session.state.value
    reason = f": {session.reason}" if session.reason else ""
    parts = [
        f'<header><p class="kicker">Session {text(session.id)}</p><h1>{text(heading, 200)}</h1>',
        f'<p class="sub">{text(sub)}</p>',
        f'<p><span class="state {text(state)}">{text(state)}</span> {text(reason.lstrip(": "))}</p>',
    ]
    wanted = report.wanted
    if wanted.filter.strip():
        parts.append(f"<p>Only events that match <code>{text(wanted.filter)}</code></p>")
    if wanted.start is not None or wanted.end is not None:
        start = "the beginning" if wanted.start is None else _time(wanted.start)
        end = "the end" if wanted.end is None else _time(wanted.end)
        parts.append(f"<p>Only from {start} to {end}</p>")
    return "".join([*parts, "</header>"])


def _target(session: Session) -> str:
    target = session.spec.target
    parts = (
        ("namespace", target.namespace),
        ("pod", target.pod),
        ("container", target.container),
        ("node", target.node),
        ("selector", target.selector),
    )
    return ", ".join(f"{name} {value}" for name, value in parts if value) or "everything"


def _figures(report: Report) -> str:
    session = report.session
    narrowed = report.wanted.filter.strip() or report.wanted.start or report.wanted.end
    shown = sum(bar.events for bar in report.bars)
    figures = [("Events stored", f"{session.events:,}", "")]
    if narrowed:
        exact = report.bars_scope is None or report.bars_scope.complete
        figures.append(("Of these shown here", f"{shown:,}" if exact else f"≥ {shown:,}", ""))
    figures += [
        ("Lost", _lost(report), "warn" if session.lost or report.losses else ""),
        ("Unreadable lines", f"{session.malformed:,}", "warn" if session.malformed else ""),
        ("Duration", _duration(session, report.made), ""),
    ]
    if session.ticks:
        figures.insert(1, ("Ticks", f"{session.ticks:,}", ""))
    cells = "".join(
        f'<div class="figure {kind}"><b>{text(value)}</b><span>{text(name)}</span></div>'
        for name, value, kind in figures
    )
    return f'<section class="figures">{cells}</section>'


def _duration(session: Session, made: int) -> str:
    start = session.started or session.created
    seconds = max(0, (session.stopped or made) - start) // NS
    hours, rest = divmod(seconds, 3_600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _histogram(bars: Sequence[Bucket | SplitBucket], scope: Scope | None) -> str:
    if not bars:
        return ""
    most = max((bar.events for bar in bars), default=0)
    lost = max((bar.lost for bar in bars), default=0)
    step = WIDTH / len(bars)
    shapes = []
    for number, bar in enumerate(bars):
        tall = HEIGHT * bar.events / most if most else 0
        title = f"{format_ns(bar.start)}: {bar.events:,} events" + (
            f", {bar.lost:,} lost" if bar.lost else ""
        )
        at = number * step
        shapes.append(
            f'<g><title>{text(title)}</title><rect class="bar" x="{at:.2f}" '
            f'y="{HEIGHT - tall:.2f}" width="{max(step - 1, 0.5):.2f}" height="{tall:.2f}"/>'
        )
        if bar.lost:
            high = 4 + 20 * bar.lost / lost
            shapes.append(
                f'<rect class="lost" x="{at:.2f}" y="{HEIGHT + 4}" '
                f'width="{max(step - 1, 0.5):.2f}" height="{high:.2f}"/>'
            )
        shapes.append("</g>")
    tall = HEIGHT + (30 if lost else 4)
    legend = f'<p class="legend">At most {most:,} events a bar'
    legend += ', <i class="lost"></i> below: lost events' if lost else ""
    each = (bars[0].end - bars[0].start) / NS
    partial = f", {_scope(scope)}" if scope and not scope.complete else ""
    return (
        f"<section><h2>Events over time</h2>"
        f'<svg viewBox="0 0 {WIDTH} {tall}" role="img" preserveAspectRatio="none" '
        f'aria-label="Histogram of events, at most {most:,} a bar">{"".join(shapes)}</svg>'
        f'<p class="axis"><span>{_time(bars[0].start)}</span><span>{_time(bars[-1].end)}</span></p>'
        f"{legend}; a bar is {each:,.3g} s{partial}.</p></section>"
    )


def _facts(session: Session) -> str:
    spec = session.spec
    rows: list[tuple[str, str]] = [
        ("Gadget", spec.gadget),
        ("Environment", spec.environment),
        ("Target", _target(session)),
        ("Started", format_ns(session.started) if session.started else "not yet"),
        ("Stopped", format_ns(session.stopped) if session.stopped else "still running"),
        *((f"Parameter {key}", value) for key, value in sorted(spec.params.items())),
        ("Command", shlex.join(session.command)),
        *((key.capitalize(), value) for key, value in sorted(session.info.items())),
    ]
    cells = "".join(
        f"<tr><th>{text(name, 200)}</th><td>{text(value)}</td></tr>"
        for name, value in rows
        if value
    )
    return f'<section><h2>What ran</h2><table class="pairs">{cells}</table></section>'


def _tops(tops: Sequence[Top]) -> str:
    shown = [top for top in tops if top.values]
    if not shown:
        return ""
    cards = "".join(_top(top) for top in shown)
    return f'<section><h2>Most frequent values</h2><div class="cards">{cards}</div></section>'


def _top(top: Top) -> str:
    most = max(value.count for value in top.values)
    rows = "".join(
        f'<tr><td>{text(_value(value.value.value), MAX_CELL)}<i style="width:'
        f'{100 * value.count / most:.1f}%"></i></td><td class="num">{value.count:,}</td></tr>'
        for value in top.values
    )
    rest = top.distinct - len(top.values)
    more = f"{rest:,} more values: {top.other:,} events" if rest > 0 else ""
    lacking = f"{top.missing:,} events without it" if top.missing else ""
    scope = _scope(top.scope)
    about = "at least " if not top.exact and more else ""
    note = " · ".join(part for part in (about + more if more else "", lacking, scope) if part)
    foot = f"<p>{text(note)}</p>" if note else ""
    return f'<div class="card"><h3>{text(top.path, 200)}</h3><table>{rows}</table>{foot}</div>'


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value != "" else "(empty)"


def _scope(scope: Scope) -> str:
    if scope.complete:
        return ""
    return f"counted in {scope.examined:,} of {scope.total:,} events"


def _number(count: int, *, exact: bool) -> str:
    """Return how many were lost; of a number that is not exact, what is known of it."""
    if exact:
        return f"{count:,}"
    return f"≥ {count:,}" if count else "unknown"


def _vague(report: Report) -> bool:
    return report.losses_cut or any(not loss.exact for loss in report.losses)


def _lost(report: Report) -> str:
    return _number(report.session.lost, exact=not _vague(report))


def _losses(report: Report) -> str:
    if not report.losses:
        return "<section><h2>Lost events</h2><p>None are known to be lost.</p></section>"
    sums: dict[tuple[str, str], list[int]] = {}
    for loss in report.losses:
        key = (loss.node, loss.cause.value)
        found = sums.setdefault(key, [0, 0, loss.start, loss.end, 0])
        found[0] += loss.count
        found[1] += 1
        found[2], found[3] = min(found[2], loss.start), max(found[3], loss.end)
        found[4] += not loss.exact
    rows = [
        (
            text(node or "-"),
            text(cause),
            _number(count, exact=not inexact),
            f"{records:,}",
            _time(start),
            _time(end),
        )
        for (node, cause), (count, records, start, end, inexact) in sorted(sums.items())
    ]
    table = _table(("Node", "Cause", "Lost", "Records", "From", "To"), rows, {2, 3})
    listed = sum(loss.count for loss in report.losses)
    unknown = _vague(report) and not report.session.lost
    note = "<p>How many is not known" if unknown else f"<p>{_lost(report)} events lost in all"
    if report.losses_cut or listed != report.lost:
        note += f"; the table sums up the newest {len(report.losses):,} records"
    return f"<section><h2>Lost events</h2>{note}.</p>{table}</section>"


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    rows = [
        (_time(line.ts), text(line.level.value), text(line.node or "-"), text(line.text, 1_000))
        for line in report.warnings
    ]
    table = _table(("Time", "Level", "Node", "Text"), rows, set())
    return f"<section><h2>Warnings in the log</h2>{table}</section>"


def _nodes(report: Report) -> str:
    if not report.coverage:
        return ""
    rows = [
        (
            text(one.name),
            text(one.state.value),
            text(one.reason or "-"),
            text(one.version or "-"),
        )
        for one in report.coverage
    ]
    return f"<section><h2>Nodes</h2>{_table(('Node', 'State', 'Reason', 'Version'), rows, set())}</section>"


def _events(report: Report) -> str:
    chosen = bool(report.wanted.seqs)
    count = len(report.events)
    title = "Chosen events" if chosen else f"Newest {count:,} events"
    scope = report.events_scope
    looked = ""
    if scope and not scope.complete:
        looked = f"<p>Looked for in {scope.examined:,} of {scope.total:,} events.</p>"
    if not count:
        none = looked or "<p>There are none.</p>"
        return f"<section><h2>{title if chosen else 'Events'}</h2>{none}</section>"
    names = [one.name for one in report.columns]
    head = "".join(f"<th>{text(name, 100)}</th>" for name in ("seq", "time", "node", *names))
    rows = "".join(_event(event, names) for event in report.events)  # each a tbody of its own
    missing = ""
    if report.missing:
        listed = ", ".join(map(str, report.missing[:20]))
        missing = f"<p>Not in this session: {text(listed)}</p>"
    return (
        f'<section class="events"><h2>{title}</h2>{looked}{missing}<div class="wide"><table>'
        f"<thead><tr>{head}</tr></thead>{rows}</table></div></section>"
    )


def _event(event: Any, names: Sequence[str]) -> str:
    parsed = parse(event.data)
    cells = "".join(f"<td>{text(_at(parsed, name), MAX_CELL)}</td>" for name in names)
    return (
        f"<tbody><tr><td><details><summary>{event.seq:,}</summary></details></td>"
        f'<td class="time">{_time(event.ts)}</td><td>{text(event.node or "-")}</td>{cells}</tr>'
        f'<tr class="raw"><td colspan="{len(names) + 3}"><pre>{text(event.data, MAX_DATA)}</pre>'
        "</td></tr></tbody>"
    )


def _at(value: Any, path: str) -> str:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, dict) and "addr" in value and "port" in value:
        return f"{value['addr']}:{value['port']}"
    return value if isinstance(value, str) else compact(value)


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> str:
    head = "".join(
        f'<th class="num">{text(name)}</th>' if number in numbers else f"<th>{text(name)}</th>"
        for number, name in enumerate(heads)
    )
    body = "".join(f"<tr>{''.join(_cells(row, numbers))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(row: Sequence[str], numbers: set[int]) -> Iterator[str]:
    for number, cell in enumerate(row):
        yield f'<td class="num">{cell}</td>' if number in numbers else f"<td>{cell}</td>"


def _time(ns: int) -> str:
    shown = format_ns(ns)
    return f'<time datetime="{shown}">{shown[:10]} {shown[11:23]}</time>'
