"""The systemd unit is one that systemd accepts, and stays as tight as it claims to be."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from igdash import settings
from igdash.cli.parser import make_parser

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "igdash.service"
ANALYZE = shutil.which("systemd-analyze")


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("drop_in", [False, True])
def test_systemd_accepts_it(tmp_path: Path, drop_in: bool):
    unit = tmp_path / "igdash.service"
    text = UNIT.read_text(encoding="utf-8").replace("/opt/igdash/bin/igdash", sys.executable)
    unit.write_text(text.replace("=igdash\n", "=root\n", 2), encoding="utf-8")
    if drop_in:
        found = re.search(r"```ini\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)
        assert found
        folder = tmp_path / "igdash.service.d"
        folder.mkdir()
        (folder / "ig.conf").write_text(found[1], encoding="utf-8")
    done = subprocess.run(
        [str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "igdash" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


def test_it_takes_privileges_away():
    found = service()
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"):
        assert found[key] == "yes"
    assert found["CapabilityBoundingSet"] == ""
    assert found["ProtectSystem"] == "strict"


def test_it_runs_a_command_that_exists_and_stops_it_in_order():
    found = service()
    assert found["KillMode"] == "mixed"
    words = found["ExecStart"].split()[1:]
    assert make_parser().parse_args(words).run == "igdash.cli.run:serve"


def test_its_history_is_in_its_folder_unless_the_file_says_another_place(tmp_path: Path):
    variables = dict([service()["Environment"].split("=", 1)])
    config = tmp_path / "igdash.toml"
    config.write_text("", encoding="utf-8")
    usual = settings.load(config, environ=variables)
    assert usual.store.url == "sqlite:////var/lib/igdash/igdash.db"
    assert usual.state_dir == Path("/var/lib/igdash/igdash.state")
    config.write_text('[store]\nurl = "postgresql+psycopg://igdash@db/igdash"\n', encoding="utf-8")
    assert settings.load(config, environ=variables).store.url.startswith("postgresql+psycopg://")
