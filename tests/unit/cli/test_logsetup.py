"""One record, one line; nothing in it can forge another one or leak a password."""

from __future__ import annotations

import json
import logging
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igdash.cli.logsetup import JsonLines, TextLines, configure
from igdash.settings import LogSettings

EVIL = "a\nERROR forged\x1b[2J postgresql://u:s3cret@h/d"


def record(message: str, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("x", logging.INFO, "f", 1, "%s", (message,), info)


@given(st.text(st.characters(codec=None)))
@pytest.mark.parametrize("kind", [TextLines, JsonLines])
def test_any_message_is_one_line(kind, message: str):
    line = kind("collect").format(record(message, ValueError(message)))
    assert line.splitlines() == [line]
    line.encode()


@pytest.mark.parametrize("kind", [TextLines, JsonLines])
def test_secrets_are_masked_in_message_and_trace(kind):
    line = kind("collect").format(record(EVIL, ValueError(EVIL)))
    assert "s3cret" not in line
    assert "u:***@h" in line


def test_json_has_what_a_collector_of_logs_wants():
    entry = json.loads(JsonLines("web").format(record("hello")))
    assert entry["message"] == "hello"
    assert entry["level"] == "info"
    assert entry["part"] == "web"
    assert entry["ts"].endswith("Z")


def test_configure_replaces_what_was_there(capsys: pytest.CaptureFixture[str]):
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    try:
        configure(LogSettings(level="warning", format="json"), "web")
        logging.getLogger("x").info("not shown")
        logging.getLogger("x").warning("shown")
        lines = capsys.readouterr().err.splitlines()
        assert [json.loads(line)["message"] for line in lines] == ["shown"]
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
        sys.excepthook(ValueError, ValueError("a\nb"), None)
        died = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert ["ZeroDivisionError" in died[0]["trace"][-1], died[0]["message"][:7]] == [
            True,
            "worker:",
        ]
        assert died[1]["trace"] == ["ValueError: a", "b"]
    finally:
        sys.excepthook, threading.excepthook = hooks
        logging.captureWarnings(capture=False)
        root.handlers[:] = before
        root.setLevel(level)
