"""Reading a gadget's own log, because kernel and queue losses are told nowhere else.

Lines are logrus text, `time="…" level=warning msg="…"` when stderr is no terminal and
`WARN[0012] …` when it is; `kubectl-gadget` puts the node's name, padded to 20, and ` | ` before a
message. Only two wordings mean lost events; every line, those included, is kept in the log.
"""

from __future__ import annotations

import re
from typing import Final

from igdash.domain.events import LogLevel, LogLine
from igdash.domain.losses import Loss, LossCause
from igdash.domain.times import NS, parse_time

MAX_LOG: Final = 16_384
"""Characters kept of one log line; stack traces and verifier dumps can be megabytes."""

_LEVELS: Final = {
    "trac": LogLevel.DEBUG,
    "debu": LogLevel.DEBUG,
    "info": LogLevel.INFO,
    "warn": LogLevel.WARNING,
    "erro": LogLevel.ERROR,
    "fata": LogLevel.ERROR,
    "pani": LogLevel.ERROR,
}
_LOGRUS: Final = re.compile(
    r'(?:time="(?P<time>[^"]*)" )?level=(?P<level>[a-z]+) msg=(?P<msg>"(?:[^"\\]|\\.)*"|[^" ]*)(?P<rest>(?: .*)?)'
)
_TERMINAL: Final = re.compile(
    r"(?P<level>TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)\[[^\]]{1,40}\] ?(?P<msg>.*)"
)
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NODE: Final = re.compile(r"(?P<node>[^\s|]{1,253})(?P<pad> *) \| (?P<msg>.*)")
_NODE_WIDTH: Final = 20
_ESCAPE: Final = re.compile(
    r'\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([abfnrtv"\\\']))'
)
_SIMPLE: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip

# As logged, so that an operator finds the number in the log; but a lower bound: with ring buffers IG
# skips the sample it was just reading as well (seen: 4 of 4 reports were short by one), and what is
# lost while it reads and resets its counters is never told.
_KERNEL: Final = re.compile(r"reading event: lost (\d{1,18}) samples?")
_QUEUE: Final = re.compile(r"expected seq \d{1,20}, got \d{1,20}, (\d{1,18}) messages? dropped")
_BEHIND: Final = re.compile(r" behind=(\d{1,4})\.(\d{3})s$")
"""How old a line may be when it came to us, as `native.reading` notes it."""


def read_log(text: str, node: str, received: int) -> tuple[LogLine, Loss | None]:
    """Return the log line, and the loss it tells of if it does.

    `received` (ns) stands in where the line has no time of its own. Never raises.
    """
    level, at, message = _parse(text)
    ts = received if at is None else at
    prefix = _NODE.fullmatch(message)
    if prefix and len(prefix["node"]) + len(prefix["pad"]) >= _NODE_WIDTH:
        node, message = prefix["node"], prefix["msg"]
    line = LogLine(ts=ts, level=level, node=storable(node), text=_bounded(message))
    return line, _loss(message, line.node, ts)


def storable(text: str) -> str:
    """Return `text` with what a database text cannot hold (NUL, lone surrogates) written out."""
    if "\x00" in text:
        text = text.replace("\x00", "\\x00")
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def _parse(text: str) -> tuple[LogLevel, int | None, str]:
    match = _LOGRUS.fullmatch(text)
    if match:
        message = _unquote(match["msg"]) + match["rest"]
        return _level(match["level"]), _time(match["time"]), message
    plain = _ANSI.sub("", text) if "\x1b" in text else text
    match = _TERMINAL.fullmatch(plain)
    if match:
        return _level(match["level"]), None, match["msg"]
    level = LogLevel.ERROR if text.startswith(("Error:", "panic:", "fatal ")) else LogLevel.INFO
    return level, None, text


def _level(word: str) -> LogLevel:
    return _LEVELS.get(word[:4].lower(), LogLevel.INFO)


def _time(text: str | None) -> int | None:
    try:
        return max(0, parse_time(text)) if text else None
    except (ValueError, OverflowError):
        return None


def _unquote(text: str) -> str:
    """Undo Go's quoting."""
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is None:
        return _SIMPLE.get(match[4], match[4])
    number = int(code, 16)
    return chr(number) if number <= 0x10FFFF else match[0]


def _bounded(text: str) -> str:
    if len(text) > MAX_LOG:
        text = f"{text[:MAX_LOG]}… (cut, {len(text)} characters)"
    return storable(text)


def _loss(message: str, node: str, ts: int) -> Loss | None:
    """IG polls its lost-sample counters once a second and tells with the next event it reads, within
    another second or never (a poll overwrites what was not told). Its clock in a log may be whole
    seconds."""
    for pattern, cause in ((_KERNEL, LossCause.KERNEL), (_QUEUE, LossCause.IG_QUEUE)):
        match = pattern.search(message)
        if match and int(match[1]) > 0:
            late = _BEHIND.search(message)
            behind = int(late[1] + late[2]) * (NS // 1_000) if late else 0
            return Loss(
                node=node,
                start=max(0, ts - behind - (2 if cause is LossCause.KERNEL else 1) * NS),
                end=ts if ts % NS else ts + NS,
                count=int(match[1]),
                cause=cause,
                detail=f"logged by Inspektor Gadget: {match[0]}",
                exact=cause is not LossCause.KERNEL,
            )
    return None
