"""demo: igdash on recordings of a real cluster, through the ordinary collectors.

The first call starts a handful of sessions; the next ones find them in the database and resume
them, as after any restart.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import igdash
from igdash import settings as all_settings
from igdash.cli import context
from igdash.cli.main import FAILED, complain
from igdash.cli.run import supervise
from igdash.domain.errors import CollectorUnavailable, IgdashError, SettingsError
from igdash.domain.ports import Control
from igdash.domain.sessions import SessionSpec, StopAfter, Target
from igdash.domain.threads import spawn

ENVIRONMENT: Final = "demo"
PATIENCE: Final = 60.0
"""How long (s) to wait for the collector before the sessions cannot be started."""
POLL: Final = 0.2
OTHERS: Final = "!gadget"
"""Everything but Inspektor Gadget's own namespace."""

_CONFIG: Final = """\
# Written by `igdash demo`, at each call. Other commands on the demo:
#   igdash --config {path} sessions
[store]
url = "sqlite:///{database}"
[[environments]]
name = "demo"
kind = "replay"
folder = "{recordings}"
"""


def demo(args: argparse.Namespace) -> int:
    """Run collector and web on the demo's own folder, and start its sessions once."""
    if args.config or args.store:
        raise SettingsError(
            "demo has a configuration and a database of its own: no --config, --store"
        )
    folder = Path(args.folder).absolute() if args.folder else default_folder()
    config = write_config(folder, recordings())
    given = {"log.level": "warning"} | context.overrides(args)
    settings = all_settings.load(config, overrides=given)
    marker = folder / "seeded"
    if not (marker.exists() and (folder / "igdash.db").exists()):
        from igdash.bootstrap import control_client

        spawn("seeds", lambda: _seed(control_client(settings), marker))
    print(
        f"igdash demo in {folder}; other commands: igdash --config {config} sessions",
        file=sys.stderr,
        flush=True,
    )
    return supervise(settings, all_settings.child_environ(given, str(config)))


def recordings() -> Path:
    """Return the folder of the bundled recordings. Raises `SettingsError` when they are missing."""
    package = Path(igdash.__file__).parent
    for folder in (package.parent / "examples" / "recordings", package / "_recordings"):
        if folder.is_dir():
            return folder
    raise SettingsError("demo: this installation has no recordings (examples/recordings)")


def default_folder() -> Path:
    """Return `.igdash/demo` here, or in the user's data folder when nothing can be written here."""
    here = Path.cwd()
    if os.access(here, os.W_OK):
        return here / ".igdash" / "demo"
    return all_settings.data_home() / "igdash" / "demo"


def write_config(folder: Path, recorded: Path) -> Path:
    """Write the demo's configuration file and return its path."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "igdash.toml"
    values: Mapping[str, Path] = {
        "path": path,
        "database": folder / "igdash.db",
        "recordings": recorded,
    }
    quoted = {
        key: str(value).replace("\\", "\\\\").replace('"', '\\"') for key, value in values.items()
    }
    path.write_text(_CONFIG.format(**quoted), encoding="utf-8")
    return path


def seeds() -> tuple[SessionSpec, ...]:
    """Return the sessions of the demo: a small shop as an operator would watch it."""
    return (
        _spec("snapshot_process", "production"),
        _spec("top_tcp", OTHERS),
        _spec("trace_open", "", name="everything, losses included"),
        _spec("trace_exec", OTHERS),
        _spec("trace_dns", OTHERS),
        _spec("trace_sni", "production"),
        _spec("trace_tcp", "demo"),
        _spec("trace_tcp", "staging"),
        _spec("trace_tcp", "production"),
        _spec("trace_signal", OTHERS, name="a look of 20 seconds", seconds=20.0),
    )


def _spec(
    gadget: str, namespace: str, *, name: str = "", seconds: float | None = None
) -> SessionSpec:
    return SessionSpec(
        gadget=gadget,
        environment=ENVIRONMENT,
        name=name,
        target=Target(namespace=namespace),
        stop_after=StopAfter(seconds=seconds),
    )


def _seed(control: Control, marker: Path) -> None:
    """Start the sessions as soon as the collector answers."""
    if not _answers(control):
        complain("demo: the collector does not answer, no session was started", FAILED)
        return
    for spec in seeds():
        try:
            control.start(spec)
        except IgdashError as error:
            complain(f"demo: {spec.gadget}: {error}", FAILED)
    marker.touch()


def _answers(control: Control) -> bool:
    pause = threading.Event()
    for _ in range(int(PATIENCE / POLL)):
        try:
            control.stats()
        except CollectorUnavailable:
            pause.wait(POLL)
        else:
            return True
    return False
