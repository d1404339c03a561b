"""The architecture is kept by linters; here they are shown to bite.

Every rule gets a planted violation in a copy of the package. One run of the linter sees them all,
and each must be named in its report.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = {
    # what breaks: (module to write, its import, contract that must say so)
    "services -> api": ("services/zz_api", "import igdash.api", "rings"),
    "domain -> services": ("domain/zz_services", "import igdash.services", "rings"),
    "store -> services": ("store/zz_services", "import igdash.services", "rings"),
    "store -> sources": ("store/zz_sources", "import igdash.sources", "rings"),
    "sources -> store": ("sources/zz_store", "import igdash.store", "rings"),
    "api -> ui": ("api/zz_ui", "import igdash.ui", "rings"),
    "ui -> bootstrap": ("ui/zz_bootstrap", "import igdash.bootstrap", "rings"),
    "services -> settings": ("services/zz_settings", "import igdash.settings", "rings"),
    "an unknown package": ("helpers/__init__", "import igdash.domain", "rings"),
    "ui -> store": ("ui/zz_store", "import igdash.store", "no-shortcut"),
    "api -> sources": ("api/zz_sources", "import igdash.sources", "no-shortcut"),
    "ui -> writer": ("ui/zz_writer", "import igdash.services.writer", "no-shortcut"),
    "api -> collector": ("api/zz_collector", "import igdash.services.collector", "no-shortcut"),
    "cli -> store": ("cli/zz_store", "import igdash.store", "bootstrap-names-adapters"),
    "msgspec in domain": ("domain/zz_msgspec", "import msgspec", "domain-plain"),
    "flask in domain": ("domain/zz_flask", "import flask", "domain-plain"),
    "SQL in ui": ("ui/zz_sql", "import sqlalchemy", "sql-in-store"),
    "SQL in services": ("services/zz_sql", "import sqlite3", "sql-in-store"),
    "SQL in api": ("api/zz_sql", "from sqlalchemy import text", "sql-in-store"),
    "Dash in services": ("services/zz_dash", "import dash", "dash-in-ui"),
    "Dash in api": ("api/zz_dash", "import dash_bootstrap_components", "dash-in-ui"),
    "kubernetes in services": ("services/zz_kube", "import kubernetes", "clients-in-sources"),
    "grpc in ui": ("ui/zz_grpc", "import grpc", "clients-in-sources"),
    "h2 in services": ("services/zz_h2", "import h2.connection", "clients-in-sources"),
    "protobuf in services": (
        "services/zz_protobuf",
        "from google.protobuf.message import Message",
        "clients-in-sources",
    ),
    "wire messages in api": ("api/zz_wire", "from igdash_wire import ig_pb2", "clients-in-sources"),
    "wire messages in domain": ("domain/zz_wire", "import igdash_wire.ig_pb2", "domain-plain"),
    "aiohttp in ui": ("ui/zz_aiohttp", "import aiohttp", "clients-in-sources"),
    "grpcio in sources": ("sources/zz_grpc", "import grpc", "grpcio-nowhere"),
    "igdash in wire messages": ("../igdash_wire/zz_igdash", "import igdash.domain", "wire-plain"),
}

CYCLE = {
    "services/zz_one/__init__": "",
    "services/zz_one/a": "import igdash.services.zz_two.b",
    "services/zz_two/__init__": "",
    "services/zz_two/b": "import igdash.services.zz_one.a",
}


def lint(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1", "COLUMNS": "400"}
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", *args],
        cwd=root, env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rings")
    for package in ("igdash", "igdash_wire"):
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def write(root: Path, module: str, text: str) -> None:
    path = root / "igdash" / f"{module}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"from __future__ import annotations\n\n{text}\n")


def report_of(contract: str, output: str) -> str:
    """Return the part of the report that speaks of the contract with this id."""
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    name = next(c["name"] for c in contracts if c["id"] == contract)
    details = output.split("Broken contracts", 1)[1]
    assert name in details, f"{name!r} was not broken:\n{output}"
    rest = details.split(name, 1)[1]
    others = [rest.find(c["name"]) for c in contracts if c["id"] != contract]
    cuts = [cut for cut in others if cut > 0]
    return rest[: min(cuts)] if cuts else rest


def test_the_tree_itself_is_clean() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def planted(copy: Path) -> str:
    for module, line, _ in PLANTED.values():
        write(copy, module, line)
    for module, line in CYCLE.items():
        write(copy, module, line)
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_import_is_caught(what: str, planted: str) -> None:
    module, _, contract = PLANTED[what]
    dotted = module.removeprefix("../").replace("/__init__", "").replace("/", ".")
    assert dotted in report_of(contract, planted), f"{what} slipped through:\n{planted}"


def test_a_planted_cycle_is_caught(planted: str) -> None:
    report = report_of("acyclic", planted)
    assert "zz_one" in report
    assert "zz_two" in report


BANNED = {
    "time.sleep": ("import time\n\n\ndef nap() -> None:\n    time.sleep(1)", "TID251"),
    "threading.Thread": ("import threading\n\nt = threading.Thread()", "TID251"),
    "os.environ": ("import os\n\nhome = os.environ", "TID251"),
    "os.getenv": ("import os\n\nhome = os.getenv('HOME')", "TID251"),
    "print": ("print('hello')", "T201"),
    "eval": ("value = eval('1')", "S307"),
    "shell": ("import subprocess\n\nsubprocess.run('ls', shell=True)", "S602"),
    "pickle": ("import pickle\n\nvalue = pickle.loads(b'')", "S301"),
    "SQL by string": (
        "def q(name: str) -> str:\n    return f'select * from t where x = {name}'",
        "S608",
    ),
    "naive time": ("import datetime\n\nnow = datetime.datetime.now()", "DTZ005"),
    "blind except": ("try:\n    pass\nexcept Exception:\n    pass", "BLE001"),
    "no docstring": ("VALUE = 1", "D100"),
}


@pytest.mark.parametrize("what", BANNED)
def test_ruff_bites(what: str, tmp_path: Path) -> None:
    code, rule = BANNED[what]
    folder = tmp_path / "igdash" / "services"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text(f"from __future__ import annotations\n\n{code}\n")
    ruff = str(Path(sys.executable).with_name("ruff"))
    done = subprocess.run(
        [ruff, "check", "--no-cache", "--config", str(ROOT / "pyproject.toml"), "--output-format", "concise", str(folder)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert rule in done.stdout, done.stdout + done.stderr


def test_no_module_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "igdash").rglob("*.py")
        if (lines := path.read_text().count("\n")) > 500
    }
    assert long == {}
