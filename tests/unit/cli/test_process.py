"""The command as a process of its own: quick help, old Python, closed pipes, Ctrl-C."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from igdash.cli.parser import make_parser
from tests.support.seed import seed

ROOT = Path(__file__).parents[3]
IGDASH = (sys.executable, "-m", "igdash")


def call(*argv: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [*IGDASH, *argv], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60, **more
    )


def test_help_is_quick_and_imports_nothing_heavy():
    script = (
        "import sys; from igdash.__main__ import main; main(['--help'])\n"
        "print(sorted({'dash', 'sqlalchemy', 'flask', 'msgspec', 'gunicorn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"
    best = min(_timed() for _ in range(5))
    assert best < 0.15 or os.getloadavg()[0] > 3, f"--help took {best:.3f} s"


def _timed() -> float:
    begin = time.perf_counter()
    call("--help")
    return time.perf_counter() - begin


@pytest.mark.parametrize("name", ["app.py", "igdash/__main__.py", "igdash/__init__.py"])
def test_an_old_python_can_read_what_tells_it_so(name: str):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.skipif(shutil.which("python3.8") is None, reason="needs an old Python")
@pytest.mark.parametrize("argv", [["app.py"], ["-m", "igdash", "serve"]])
def test_an_old_python_gets_one_line(argv: list[str]):
    python = shutil.which("python3.8") or ""
    environ = {**os.environ, "PYENV_VERSION": _installed("3.8")}
    done = subprocess.run(
        [python, *argv], capture_output=True, text=True, check=False, cwd=ROOT, env=environ
    )
    if "version" in done.stderr and "not installed" in done.stderr:
        pytest.skip("python3.8 is only a shim")
    assert done.returncode == 1
    assert re.fullmatch(r"igdash: needs Python 3\.11 or newer, this is 3\.8\.\d+\n", done.stderr)


def _installed(series: str) -> str:
    """Return the version of this series that pyenv has, where python is a shim of it."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [path.name for path in folder.glob(f"{series}.*")] if folder.is_dir() else []
    return found[0] if found else ""


def test_app_py_is_igdash_serve():
    text = (ROOT / "app.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "app.py", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.startswith("usage: igdash serve")


def test_a_closed_pipe_is_no_error(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/x.db"
    session = seed(url, sessions=1, events=3_000)[0]
    command = f"{sys.executable} -m igdash events {session.id} --store {url} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_following_is_silent(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/x.db"
    session = seed(url, sessions=1, events=10)[0]
    argv = [*IGDASH, "events", session.id, "-f", "-o", "name", "--store", url]
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")


def test_every_command_is_documented():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, parser in _commands():
        heading = f"### `igdash {name}`"
        assert heading in text, f"{heading} is missing in docs/cli.md"
        section = text.split(heading)[1].split("\n### ")[0]
        for option in _options(parser):
            assert f"`{option}`" in section, f"{option} of {name} is missing in docs/cli.md"
    documented = set(re.findall(r"^### `igdash ([a-z -]+)`", text, re.MULTILINE))
    assert documented == {name for name, _ in _commands()}


def _commands():
    def walk(parser, prefix):
        below = [a for a in parser._actions if hasattr(a, "choices") and a.nargs == "A..."]
        if not below:
            yield prefix, parser
        listed = {action.dest for action in below[0]._choices_actions} if below else set()
        for name, child in (below[0].choices if below else {}).items():
            if name in listed:  # igdash's own are not
                yield from walk(child, f"{prefix} {name}".strip())

    return list(walk(make_parser(), ""))


def _options(parser) -> list[str]:
    common = {"--config", "--store", "--set", "--help"}
    longest = [
        max(action.option_strings, key=len)
        for action in parser._actions
        if action.option_strings and action.help != "==SUPPRESS=="
    ]
    return [option for option in longest if option not in common]
