"""`igdash check` and `make verify-ig`, against the double of a daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.daemon_process import daemon_process

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "trace_tcp": {"play": "kubernetes-trace_tcp", "rate": 100.0, "loop": True},
    "top_tcp": {"play": "kubernetes-top_tcp"},
    "trace_open": {"numbered": 0, "late_error": "starting operators: no kprobes here"},
}


def check(address: str, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "IGDASH_ENVIRONMENTS__0__NAME": "daemon",
        "IGDASH_ENVIRONMENTS__0__KIND": "ig-daemon",
        "IGDASH_ENVIRONMENTS__0__ADDRESS": address,
    }
    command = (sys.executable, "-m", "igdash", "check", *words, "--seconds", "1")
    return subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_a_row_per_gadget_and_an_exit_code() -> None:
    with daemon_process(SCRIPTS) as address:
        fine = check(
            address, "daemon", "--gadget", "trace_tcp", "--gadget", "top_tcp", "-o", "json"
        )
        rows = json.loads(fine.stdout)["gadgets"]
        assert (fine.returncode, fine.stderr) == (0, "")
        assert [(row["gadget"], row["verdict"]) for row in rows] == [
            ("trace_tcp", "fine"), ("top_tcp", "fine"),
        ]  # fmt: skip
        assert rows[0]["events"] > 10
        assert rows[1]["ticks"] > 10
        bad = check(address, "daemon", "--gadget", "trace_open", "--gadget", "trace_dns")
        assert bad.returncode == 1
        assert "no kprobes here" in bad.stdout
        assert "not found" in bad.stdout
        made = subprocess.run(
            ["make", "-s", "verify-ig", f"ADDRESS={address}", "ARGS=--gadget top_tcp --seconds 1"],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "top_tcp" in made.stdout, made.stderr
        assert made.returncode == 0
    assert "connection refused" in check(address, "daemon").stderr
    assert "configured: daemon" in check(address, "other").stderr
    assert "there is no gadget" in check(address, "daemon", "--gadget", "trace_tpc").stderr
