"""Uploads: whole or not at all, bounded, refused from other sites, errors in words."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from igdash.api.options import WebOptions
from igdash.services import uploads
from tests.support.web import Web, served, web

FILE = b'{"a":1}\n{"a":2}\n'


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Web]:
    options = WebOptions(max_upload=1_000_000)
    with web(f"sqlite:///{tmp_path}/store.db", options) as made:
        yield made


def post(
    side: Web,
    data: bytes,
    query: str = "?file=x.jsonl",
    kind: str = "application/octet-stream",
    **headers: str,
) -> Any:
    return side.app.test_client().post(
        f"/api/import{query}",
        data=data,
        content_type=kind,
        base_url="http://127.0.0.1:8050",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def left(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "imports").glob("*"))


def test_a_file_is_handed_to_the_collector_whole(side: Web, tmp_path: Path) -> None:
    answer = post(side, FILE, "?file=a%20b.jsonl&name=mine&gadget=trace_tcp")
    assert answer.status_code == 201, answer.data
    body = answer.json
    assert (body["file"], body["size"], body["lines"], body["state"]) == (
        "a b.jsonl",
        len(FILE),
        2,
        "done",
    )
    request, _ = side.control.imported[0]
    assert (request.name, request.gadget, request.temporary) == ("mine", "trace_tcp", True)
    assert Path(request.path).parent == tmp_path / "imports"
    assert left(tmp_path) == []
    listed = side.app.test_client().get("/api/imports", base_url="http://127.0.0.1:8050").json
    assert listed["imports"] == [body]


def test_what_is_refused_says_why_and_leaves_nothing(side: Web, tmp_path: Path) -> None:
    answer = post(side, b"hello")
    assert answer.status_code == 422
    assert answer.json["problems"] == {"file": "is not JSON lines"}
    assert left(tmp_path) == []


def test_a_file_over_the_limit_is_refused(side: Web, tmp_path: Path) -> None:
    assert post(side, b"{" * 1_000_000).status_code == 413
    assert post(side, b"{" * 999_999).status_code == 201
    assert left(tmp_path) == []


def test_without_a_collector_nothing_is_taken(side: Web, tmp_path: Path) -> None:
    side.control.down = True
    assert post(side, FILE).status_code == 503
    assert left(tmp_path) == []


def test_a_full_disk_is_an_answer(
    side: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "RESERVE", 2**62)
    answer = post(side, FILE)
    assert answer.status_code == 503
    assert "no room on the disk" in answer.json["detail"]
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""],
)
def test_what_a_form_can_send_is_refused(side: Web, kind: str) -> None:
    assert post(side, FILE, kind=kind).status_code == 415


def test_other_sites_are_refused(side: Web) -> None:
    assert post(side, FILE, Origin="https://evil.example").status_code == 403
    assert post(side, FILE, Sec_Fetch_Site="cross-site").status_code == 403
    assert post(side, FILE, Origin="http://127.0.0.1:8050").status_code == 201
    assert side.control.imported[0][0].file == "x.jsonl"


def test_wrong_parameters_are_named(side: Web) -> None:
    answer = post(side, FILE, "?fiel=x&name=" + "n" * 201)
    assert answer.status_code == 400
    assert set(answer.json["problems"]) == {"fiel", "name"}


def test_an_upload_that_breaks_off_is_no_file(side: Web, tmp_path: Path) -> None:
    with served(side.app) as address:
        host, _, port = address.partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.putrequest("POST", "/api/import?file=x")
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", "100000")
        connection.endheaders(FILE)
        assert connection.sock is not None
        connection.sock.shutdown(1)
        answer = connection.getresponse()
        assert answer.status == 400
        connection.close()
    assert side.control.imported == []
    assert left(tmp_path) == []


def test_a_chunked_upload_is_taken_and_bounded(side: Web) -> None:
    with served(side.app) as address:
        host, _, port = address.partition(":")
        for size, status in ((400_000, 201), (1_200_000, 413)):
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            blocks = [b"{" * 100_000] * (size // 100_000)
            headers = {"Content-Type": "application/octet-stream"}
            try:
                connection.request(
                    "POST", "/api/import?file=x", iter(blocks), headers, encode_chunked=True
                )
                assert connection.getresponse().status == status
            except BrokenPipeError:
                assert status == 413
            connection.close()
