"""Which places are taken. Buckets: the manifest comes last, what has none is no run; the client is
the real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash.domain.errors import ExportFailed
from igdash.services import export_places
from igdash.services.export_places import Place, Places
from tests.support.s3 import SECRET, FakeS3, fake_s3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    with fake_s3() as double:
        for name, value in double.environment().items():
            monkeypatch.setenv(name, value)
        yield double


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(
        folder=tmp_path / "out", scratch=tmp_path / "scratch", buckets=("s3://backup/igdash",)
    )


@pytest.fixture
def bucket(s3: FakeS3, places: Places) -> Place:
    assert s3.buckets
    return places.place("s3://backup/igdash")


def written(place: Place, run: str, data: bytes = b"{}\n") -> Path:
    folder = place.open(run)
    (folder / "a.jsonl").write_bytes(data)
    (folder / "manifest.json").write_bytes(b"{}")
    return folder


def test_what_is_in_its_place_takes_no_room_here(
    bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed behind the manifest, before the copy on this disk was removed."""
    folder = written(bucket, "r1")
    with monkeypatch.context() as patched:
        patched.setattr(export_places.shutil, "rmtree", lambda *_, **__: None)
        bucket.publish("r1", ["a.jsonl"])
    assert folder.exists()
    assert bucket.manifest("r1") == b"{}"
    assert not folder.exists()


def test_published_found_and_removed(bucket: Place, s3: FakeS3) -> None:
    folder = written(bucket, "r1")
    written(bucket, "r10")
    assert bucket.manifest("r1") is None
    bucket.publish("r1", ["a.jsonl"])
    bucket.publish("r10", ["a.jsonl"])
    assert not folder.exists()
    assert bucket.manifest("r1") == b"{}"
    assert s3.objects["backup/igdash/r1/a.jsonl"] == b"{}\n"
    assert bucket.shown("r1") == "s3://backup/igdash/r1"
    puts = [asked for asked in s3.asked if asked.startswith("PUT")]
    assert [asked.rpartition("/")[2] for asked in puts[:2]] == ["a.jsonl", "manifest.json"]
    bucket.discard("r1")
    assert bucket.manifest("r1") is None
    assert s3.names() == ["backup/igdash/r10/a.jsonl", "backup/igdash/r10/manifest.json"]


def test_a_large_file_goes_in_parts_and_is_read_back_in_parts(bucket: Place, s3: FakeS3) -> None:
    data = os.urandom(export_places._PIECE * 2 + 12_345)
    written(bucket, "r1", data)
    bucket.publish("r1", ["a.jsonl"])
    assert s3.objects["backup/igdash/r1/a.jsonl"] == data
    assert (s3.parts, s3.uploads) == (3, {})


def test_what_the_bucket_did_not_keep_is_noticed(bucket: Place, s3: FakeS3) -> None:
    for spoiled in (b"{!\n", b"{}"):
        s3.spoil = spoiled
        written(bucket, "r1")
        with pytest.raises(ExportFailed, match="not what was written"):
            bucket.publish("r1", ["a.jsonl"])
        assert s3.names("backup/igdash/r1/manifest") == []
        bucket.discard("r1")
    assert s3.objects == {}


def test_without_its_manifest_it_is_no_run_and_is_removed(bucket: Place, s3: FakeS3) -> None:
    written(bucket, "r1")
    s3.refuse = "manifest.json"
    with pytest.raises(ExportFailed, match="AccessDenied: AccessDenied as the test wants it"):
        bucket.publish("r1", ["a.jsonl"])
    assert s3.names() == ["backup/igdash/r1/a.jsonl"]
    assert bucket.manifest("r1") is None
    bucket.discard("r1")
    assert s3.names() == []


def test_a_bucket_that_is_gone_fails_with_its_name_and_reason(bucket: Place, s3: FakeS3) -> None:
    written(bucket, "r1")
    s3.buckets.clear()
    with pytest.raises(ExportFailed, match=r"^s3://backup/igdash: NoSuchBucket: "):
        bucket.publish("r1", ["a.jsonl"])
    with pytest.raises(ExportFailed, match="NoSuchBucket"):
        bucket.discard("r1")


def test_keys_come_from_the_environment_and_are_not_told(
    s3: FakeS3, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3.url
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET + "x")
    place = places.place("s3://backup/igdash")
    written(place, "r1")
    with pytest.raises(ExportFailed, match="SignatureDoesNotMatch") as caught:
        place.publish("r1", ["a.jsonl"])
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(place)
    assert "://" in places.problem(f"s3://key:{SECRET}@backup/igdash")


def test_an_endpoint_without_tls_says_how(
    s3: FakeS3, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3.url
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    place = places.place("s3://backup/igdash")
    written(place, "r1")
    with pytest.raises(ExportFailed, match="AWS_ALLOW_HTTP=true"):
        place.publish("r1", ["a.jsonl"])


@pytest.mark.parametrize(
    "destination",
    ["../x", "/etc", "a/../b", "a//b", ".hidden", "a\\b", "~", "x" * 300, "a/", "a\0b", "s3://x"],
)
def test_destinations_that_are_none(tmp_path: Path, destination: str) -> None:
    places = Places(folder=tmp_path, scratch=tmp_path, buckets=("s3://backup/igdash",))
    assert places.problem(destination)
    with pytest.raises(ExportFailed):
        places.place(destination)


def test_buckets_have_to_be_allowed(tmp_path: Path) -> None:
    places = Places(folder=tmp_path, scratch=tmp_path, buckets=("s3://backup/igdash",))
    assert places.problem("s3://backup/igdash") == ""
    assert places.problem("s3://backup/igdash/hourly") == ""
    for url in ("s3://backup", "s3://backup/igdash2", "s3://other/igdash", "gs://backup/igdash"):
        assert places.problem(url), url
    assert places.problem("s3://backup/igdash/../other")
