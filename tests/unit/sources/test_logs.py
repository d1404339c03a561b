"""The gadget's log: levels, nodes, times, and the two lines that mean lost events."""

from __future__ import annotations

import pytest

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import LogLevel, LogLine
from igdash.domain.losses import Loss, LossCause
from igdash.domain.times import NS, parse_time
from igdash.sources.decode import decode_chunk
from igdash.sources.logs import MAX_LOG, read_log

NOW = 1_795_400_000 * NS + 1
AT = parse_time("2026-11-22T22:13:44Z")


def logged(text: str, node: str = "") -> tuple[LogLine, Loss | None]:
    return read_log(text, node, NOW)


def test_a_kernel_loss_on_a_host() -> None:
    line, loss = logged(
        'time="2026-11-22T22:13:44Z" level=warning msg="reading event: lost 131322 samples"'
    )
    assert line == LogLine(
        ts=AT, level=LogLevel.WARNING, node="", text="reading event: lost 131322 samples"
    )
    assert loss == Loss(
        node="",
        start=AT - 2 * NS,
        end=AT + NS,  # the log's clock has whole seconds
        count=131_322,
        cause=LossCause.KERNEL,
        detail="logged by Inspektor Gadget: reading event: lost 131322 samples",
        exact=False,
    )


def test_a_loss_told_with_a_fine_time_ends_there() -> None:
    _, loss = logged(
        'time="2026-11-22T22:13:44.25Z" level=warning msg="reading event: lost 1 samples"'
    )
    assert loss is not None
    assert (loss.start, loss.end) == (AT + NS // 4 - 2 * NS, AT + NS // 4)


def test_losses_of_a_node_of_a_cluster() -> None:
    line, loss = logged(
        'time="2026-11-22T22:13:44Z" level=warning msg="worker-2             | reading event: lost 663 samples"'
    )
    assert (line.node, line.text) == ("worker-2", "reading event: lost 663 samples")
    assert loss is not None
    assert (loss.node, loss.count, loss.cause) == ("worker-2", 663, LossCause.KERNEL)
    _, loss = logged(
        'time="2026-11-22T22:13:44Z" level=warning '
        'msg="a-node-with-a-very-long-name | expected seq 21138, got 21142, 4 messages dropped"'
    )
    assert loss is not None
    assert (loss.node, loss.count, loss.cause) == (
        "a-node-with-a-very-long-name",
        4,
        LossCause.IG_QUEUE,
    )


@pytest.mark.parametrize(
    "text",
    [
        'time="2026-11-22T22:52:09Z" level=warning msg="worker-2             | stack with ID 4294967282 is lost: lookup: key does not exist"',
        'time="2026-11-22T22:52:09Z" level=warning msg="reading event: lost 0 samples"',
        "reading event: lost " + "9" * 40 + " samples",
        "lost 5 samples",
    ],
)
def test_other_lines_are_no_loss_but_are_kept(text: str) -> None:
    line, loss = logged(text)
    assert loss is None
    assert line.text


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ("WARN[0012] reading event: lost 7 samples", LogLevel.WARNING, "reading event: lost 7 samples"),
        ("\x1b[33mWARN\x1b[0m[0012] lookup failed", LogLevel.WARNING, "lookup failed"),
        ("INFO[0000] started", LogLevel.INFO, "started"),
        ("FATA[0000] over", LogLevel.ERROR, "over"),
        ("Error: unknown flag: --nosuch", LogLevel.ERROR, "Error: unknown flag: --nosuch"),
        ("something else", LogLevel.INFO, "something else"),
        ("level=debug msg=running...", LogLevel.DEBUG, "running..."),
        ('level=error msg="no \\"x\\"\\n\\tat y \\u00e9" error=EOF', LogLevel.ERROR, 'no "x"\n\tat y é error=EOF'),
        ('level=warning msg="half', LogLevel.INFO, 'level=warning msg="half'),
        ("short | not a node", LogLevel.INFO, "short | not a node"),
    ],
)  # fmt: skip
def test_levels_and_texts(text: str, level: LogLevel, message: str) -> None:
    line, _ = logged(text, "n1")
    assert line == LogLine(ts=NOW, level=level, node="n1", text=message)


def test_a_loss_without_a_time_is_placed_before_its_receipt() -> None:
    _, loss = logged("WARN[0012] reading event: lost 7 samples")
    assert loss is not None
    assert (loss.start, loss.end) == (NOW - 2 * NS, NOW)


def test_what_no_database_holds_is_written_out() -> None:
    chunk = Chunk(
        kind=ChunkKind.LOG_LINES, received=NOW, data=b"a\x00b\xff\n\n \n" + b"x" * 20_000 + b"\n"
    )
    first, second = decode_chunk(chunk).logs
    assert first.text == "a\\x00b\\xff"
    assert second.text == "x" * MAX_LOG + "… (cut, 20000 characters)"


def test_a_wrong_time_is_no_time() -> None:
    line, _ = logged('time="2026-99-99T99:99:99Z" level=info msg=x')
    assert (line.ts, line.text) == (NOW, "x")
