"""A real PostgreSQL for the tests: started by the suite, on a unix socket, gone afterwards.

`postgres` refuses to run as root, so as root it runs as the `postgres` user (or `nobody`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

START_S = 60


class NoPostgres(Exception):
    """There is no server binary; the message says what to do."""


def find_binaries() -> Path:
    """Return the folder of `initdb` and `postgres`. Raises `NoPostgres`."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoPostgres(
        "no PostgreSQL server found in PATH or /usr/lib/postgresql/*/bin: install the package"
        " `postgresql`, or set IGDASH_TEST_NO_POSTGRES=1 to leave these tests out"
    )


class Server:
    """One server with its own data folder. `url(database)` is what the store takes."""

    def __init__(self) -> None:
        self._bin = find_binaries()
        self._user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="igdash-pg-"))
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = (self.folder / "server.log").open("ab")
        try:
            self._init()
            self.start()
        except BaseException:
            self.remove()
            raise

    def _init(self) -> None:
        command = ["initdb", "-D", "data", "-U", "igdash", "-A", "trust", "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "--no-sync"]
        subprocess.run(
            [self._bin / command[0], *command[1:]],
            cwd=self.folder,
            check=True,
            stdout=self._log,
            stderr=self._log,
            user=self._user,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )

    def start(self) -> None:
        """Start the server and wait until it answers.

        `fsync=off` saves the time; commits stay synchronous, so that one that was acknowledged
        survives a crash of the server, as the tests of crashes expect.
        """
        settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "60",
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "32MB",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", "data", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            user=self._user,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._process is not None
                if self._process.poll() is not None:
                    break
                threading.Event().wait(0.05)
            else:
                return
        raise AssertionError(f"no PostgreSQL: {(self.folder / 'server.log').read_text()[-2000:]}")

    def dsn(self, database: str) -> str:
        return f"host={self.folder} user=igdash dbname={database}"

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://igdash@/{database}?host={self.folder}"

    def execute(self, sql: str, database: str = "postgres") -> None:
        with psycopg.connect(self.dsn(database), autocommit=True) as conn:
            conn.execute(sql)

    def create(self, template: str = "template1") -> str:
        """Make a database of its own and return its name."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def cut(self, database: str) -> None:
        """End all connections to a database, as a failing network would."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is a fast shutdown, SIGQUIT a crash (recovery at the next start)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def remove(self) -> None:
        """Stop it and delete everything."""
        self.stop(signal.SIGQUIT)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running_server() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.remove()


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
