"""Buckets: the manifest comes last, what has none is no run. The bucket is a folder of obstore's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import obstore.store
import pytest

from igdash.domain.errors import ExportFailed
from igdash.services.export_places import Place, Places


class Folders:
    """Stands for S3: obstore's own store of files."""

    folder = Path()

    @classmethod
    def from_url(cls, _url: str, **_: Any) -> Any:
        return obstore.store.LocalStore(cls.folder)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    Folders.folder = tmp_path / "bucket"
    Folders.folder.mkdir()
    monkeypatch.setattr(obstore.store, "S3Store", Folders)
    places = Places(
        folder=tmp_path / "out", scratch=tmp_path / "scratch", buckets=("s3://backup/igdash",)
    )
    return places.place("s3://backup/igdash")


def written(place: Place, run: str) -> Path:
    folder = place.open(run)
    (folder / "a.jsonl").write_bytes(b"{}\n")
    (folder / "manifest.json").write_bytes(b"{}")
    return folder


def test_published_found_and_removed(bucket: Place) -> None:
    folder = written(bucket, "r1")
    assert bucket.manifest("r1") is None
    bucket.publish("r1", ["a.jsonl"])
    assert not folder.exists()
    assert bucket.manifest("r1") == b"{}"
    assert (Folders.folder / "r1" / "a.jsonl").read_bytes() == b"{}\n"
    assert bucket.shown("r1") == "s3://backup/igdash/r1"
    bucket.discard("r1")
    assert bucket.manifest("r1") is None
    assert [path for path in Folders.folder.rglob("*") if path.is_file()] == []


def test_a_bucket_that_is_gone_fails_with_its_name(bucket: Place) -> None:
    written(bucket, "r1")
    Folders.folder.rmdir()
    Folders.folder.write_text("no folder any more")
    with pytest.raises(ExportFailed, match="s3://backup/igdash"):
        bucket.publish("r1", ["a.jsonl"])
