"""Where the files of runs go: a folder, or a bucket that speaks S3.

A run is there as a whole or not at all. In a folder its files are written below a name with a dot
in front and get their own by one rename. A bucket has no rename, but an object appears only when it
is complete; there the manifest comes last, and what has none is no run (and is removed).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from igdash.domain.errors import ExportFailed, InvalidQuery

MANIFEST: Final = "manifest.json"
_PART: Final = re.compile(r"[\w.-][\w. -]{0,98}")
_S3: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-][\w. -]{0,98})*/?")
NO_OBSTORE: Final = "s3:// needs obstore: pip install 'igdash[s3]'"
_PIECE: Final = 8 * 1024 * 1024
"""Bytes of one request to a bucket. It takes 10,000 of them per object: 80 GB."""
_PIECES: Final = 3
"""Of which so many are under way at once."""


class Place(Protocol):
    """The destination of one schedule. `run` is a run's id. Raises `ExportFailed`, `OSError`."""

    def shown(self, run: str) -> str:
        """Return what is stored as the run's place."""

    def open(self, run: str) -> Path:
        """Return an empty folder to write the run's files to."""

    def publish(self, run: str, names: Sequence[str]) -> None:
        """Put the run's files in their place, the manifest last."""

    def manifest(self, run: str) -> bytes | None:
        """Return the manifest of a run that is in its place, None for one that is not."""

    def discard(self, run: str) -> None:
        """Remove whatever there is of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where runs may go: below `folder`, and to the `buckets` that are allowed. `scratch` is where
    files wait that are on their way to a bucket."""

    folder: Path
    buckets: tuple[str, ...] = ()
    scratch: Path

    def problem(self, destination: str) -> str:
        """Return why a destination is not taken, "" when it is."""
        if "://" in destination:
            return self._bucket_problem(destination)
        parts = destination.split("/")
        if destination.startswith(("/", "~")) or not all(map(_is_name, parts)):
            return f"must be a folder below {self.folder}: names joined by /, none of them .. or ."
        if not (self.folder / destination).resolve().is_relative_to(self.folder.resolve()):
            return f"leads out of {self.folder}"
        return ""

    def _bucket_problem(self, url: str) -> str:
        if not _S3.fullmatch(url) or not all(map(_is_name, url[5:].rstrip("/").split("/"))):
            return "must be s3://bucket/prefix"
        allowed = [one.rstrip("/") for one in self.buckets]
        if not any(f"{url.rstrip('/')}/".startswith(f"{one}/") for one in allowed):
            names = ", ".join(allowed) or "none"
            return f"is not one of exports.buckets (allowed: {names})"
        return "" if importlib.util.find_spec("obstore") else NO_OBSTORE

    def place(self, destination: str) -> Place:
        """Return the place. Raises `ExportFailed` for one that is not allowed (any more)."""
        why = self.problem(destination)
        if why:
            raise ExportFailed(f"{destination}: {why}")
        if "://" in destination:
            return _Bucket(destination.rstrip("/"), self.scratch)
        return _Folder(self.folder, destination)

    def file(self, place: str, name: str) -> Path:
        """Return a file of a run that is in a folder. Raises `InvalidQuery` for others."""
        if "://" in place:
            raise InvalidQuery("run", f"its files are at {place}")
        path = self.folder / place / name
        if self.problem(place) or not _is_name(name) or not path.is_file():
            raise InvalidQuery("file", "is not there any more")
        return path


def _is_name(part: str) -> bool:
    return _PART.fullmatch(part) is not None and not part.startswith(".") and part == part.strip()


# ---------------------------------------------------------------- folders


class _Folder:
    def __init__(self, base: Path, destination: str) -> None:
        self._name = destination
        self._folder = base / destination

    def shown(self, run: str) -> str:
        return f"{self._name}/{run}"

    def open(self, run: str) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._part(run)
        part.mkdir(mode=0o700)
        return part

    def publish(self, run: str, names: Sequence[str]) -> None:  # noqa: ARG002
        part = self._part(run)
        _sync(part)
        part.rename(self._folder / run)
        _sync(self._folder)

    def manifest(self, run: str) -> bytes | None:
        try:
            return (self._folder / run / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def discard(self, run: str) -> None:
        whole, part = self._folder / run, self._part(run)
        if part.exists():
            shutil.rmtree(part)
        if whole.is_dir():  # out of sight in one step, so that nobody meets half of it
            whole.rename(part)
            shutil.rmtree(part)

    def _part(self, run: str) -> Path:
        return self._folder / f".{run}.part"


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


# ---------------------------------------------------------------- buckets


class _Bucket:
    """Objects of one prefix. Keys come from the AWS_… variables or the machine's role, as with
    every program that speaks S3; AWS_ENDPOINT_URL names another server than Amazon's."""

    def __init__(self, url: str, scratch: Path) -> None:
        self._url = url
        self._scratch = scratch
        try:
            self._obstore: Any = importlib.import_module("obstore")
            stores: Any = importlib.import_module("obstore.store")
        except ImportError as error:
            raise ExportFailed(NO_OBSTORE) from error
        with _told_by(url):
            self._store = stores.S3Store.from_url(url, retry_config={"max_retries": 3})

    def shown(self, run: str) -> str:
        return f"{self._url}/{run}"

    def open(self, run: str) -> Path:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._scratch / run
        folder.mkdir(mode=0o700)
        return folder

    def publish(self, run: str, names: Sequence[str]) -> None:
        folder = self._scratch / run
        for name in (*names, MANIFEST):
            self._upload(folder / name, f"{run}/{name}")
        shutil.rmtree(folder)

    def _upload(self, path: Path, key: str) -> None:
        """Store one object and read it back: a bucket that took it may not have kept it."""
        with _told_by(self._url):
            self._obstore.put(self._store, key, path, chunk_size=_PIECE, max_concurrency=_PIECES)
            size = int(self._obstore.head(self._store, key)["size"])
            same = size == path.stat().st_size and self._same(path, key, size)
        if not same:
            raise ExportFailed(f"{self._url}/{key}: what was read back is not what was written")

    def _same(self, path: Path, key: str, size: int) -> bool:
        """Compare piece by piece: one long answer would meet the client's limit for a request."""
        with path.open("rb") as file:
            for start in range(0, size, _PIECE):
                length = min(_PIECE, size - start)
                kept = self._obstore.get_range(self._store, key, start=start, length=length)
                if bytes(kept) != file.read(length):
                    return False
        return True

    def manifest(self, run: str) -> bytes | None:
        with _told_by(self._url):
            try:
                found = bytes(self._obstore.get(self._store, f"{run}/{MANIFEST}").bytes())
            except FileNotFoundError:
                return None
        # Left here when the process was killed right behind it: nobody else would remove it.
        shutil.rmtree(self._scratch / run, ignore_errors=True)
        return found

    def discard(self, run: str) -> None:
        shutil.rmtree(self._scratch / run, ignore_errors=True)
        with _told_by(self._url):
            found = [
                one["path"] for page in self._obstore.list(self._store, f"{run}/") for one in page
            ]
            # The manifest first: what has none is no run.
            found.sort(key=lambda path: not path.endswith(MANIFEST))
            for path in found:
                self._obstore.delete(self._store, path)


@contextmanager
def _told_by(url: str) -> Iterator[None]:
    """Raise `ExportFailed` for whatever goes wrong: obstore has errors of many kinds."""
    try:
        yield
    except Exception as error:
        raise _failed(url, error) from error


def _failed(url: str, error: Exception) -> ExportFailed:
    """Return why a bucket did not do it, in its own words where it has some."""
    text = str(error).strip()
    code = re.search(r"<Code>([^<]{1,80})</Code>", text)
    said = re.search(r"<Message>([^<]{1,200})</Message>", text)
    if code:
        why = f"{code[1]}: {said[1]}" if said else code[1]
    else:
        why = (text.splitlines() or ["no answer"])[0][:300]
    if "builder error" in why:
        why += " (an http:// endpoint needs AWS_ALLOW_HTTP=true)"
    return ExportFailed(f"{url}: {why}")
