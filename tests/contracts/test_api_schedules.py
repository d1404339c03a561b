"""Scheduled exports over REST: made, seen, changed, run, downloaded, deleted; wrong ones refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.exporting import run_due
from tests.support.stores import Store
from tests.support.web import Web, get, send, web

BODY: dict[str, Any] = {
    "name": "Every hour",
    "what": {"gadget": "trace_tcp", "filter": 'proc.comm = "curl"'},
    "when": {"cron": "0 * * * *", "zone": "Europe/Berlin"},
    "format": "jsonl",
    "keep": 3,
}


@pytest.fixture
def side(store: Store, tmp_path: Path) -> Iterator[Web]:
    with web(store.url, places=tmp_path / "exports") as made:
        yield made


def test_made_seen_changed_deleted(side: Web) -> None:
    assert get(side, "/api/schedules")[1]["schedules"] == []
    status, made = send(side, "POST", "/api/schedules", BODY)
    assert status == 201
    assert made["destination"] == f"every-hour-{made['id'][:4]}"
    assert made["what"]["filter"] == 'proc.comm = "curl"'
    assert (made["next"][14:19], made["last"], made["asked"]) == ("00:00", None, None)
    path = f"/api/schedules/{made['id']}"
    assert get(side, path) == (200, made)
    status, listed = get(side, "/api/schedules")
    assert listed["schedules"] == [made]
    assert listed["formats"] == ["jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet"]
    changed = BODY | {"paused": True, "when": {"every": 60.0}, "destination": "x/y"}
    status, answer = send(side, "PUT", path, changed)
    assert (status, answer["paused"], answer["next"], answer["when"]["every"]) == (
        200, True, None, 60.0,
    )  # fmt: skip
    assert send(side, "DELETE", path)[1] == {"id": made["id"], "deleted": True}
    assert get(side, path)[0] == 404
    assert send(side, "POST", f"{path}/run")[0] == 404


def test_run_now_and_its_files(side: Web, tmp_path: Path) -> None:
    session = side.session()
    side.control.add(session, ['{"proc":{"comm":"curl"}}', '{"proc":{"comm":"sh"}}'])
    made = send(side, "POST", "/api/schedules", BODY)[1]
    path = f"/api/schedules/{made['id']}"
    status, asked = send(side, "POST", f"{path}/run")
    assert (status, asked["asked"], asked["next"]) == (202, asked["next"], asked["asked"])
    run_due(side, tmp_path)
    seen = get(side, path)[1]
    assert (seen["asked"], seen["last"]["state"], seen["last"]["rows"]) == (None, "done", 1)
    page = get(side, f"{path}/runs?limit=10")[1]
    assert page["total"] == 1
    [run] = page["runs"]
    [file] = run["files"]
    [covered] = run["sessions"]
    assert (covered["session"], covered["first"], covered["last"], covered["rows"]) == (
        session, 1, 2, 1,
    )  # fmt: skip
    data = side.app.test_client().get(file["url"])
    assert data.status_code == 200
    assert hashlib.sha256(data.data).hexdigest() == file["sha256"]
    assert "attachment" in data.headers["Content-Disposition"]
    manifest = get(side, file["url"].rpartition("/")[0] + "/manifest.json")[1]
    assert manifest["files"][0]["sha256"] == file["sha256"]
    for name in ("nope", "..%2f..%2fmanifest.json", "%2e%2e"):
        assert get(side, file["url"].rpartition("/")[0] + "/" + name)[0] == 404
    assert get(side, f"{path}/runs/nope/files/manifest.json")[0] == 404


def test_files_that_were_removed_say_so(side: Web, tmp_path: Path) -> None:
    side.control.add(side.session(), ['{"proc":{"comm":"curl"}}'])
    path = f"/api/schedules/{send(side, 'POST', '/api/schedules', BODY)[1]['id']}"
    send(side, "POST", f"{path}/run")
    run_due(side, tmp_path)
    [file] = get(side, f"{path}/runs")[1]["runs"][0]["files"]
    next((tmp_path / "exports").glob("*/*/*.jsonl")).unlink()
    status, answer = get(side, file["url"])
    assert (status, "not there any more" in answer["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": ""}, "name", "length"),
        ({"name": "  "}, "name", "empty"),
        ({"when": {}}, "when", "either"),
        ({"when": {"cron": "0 * * * *", "every": 60.0}}, "when", "either"),
        ({"when": {"cron": "99 * * * *"}}, "when.cron", "Bad minute"),
        ({"when": {"cron": "* * *"}}, "when.cron", "fields"),
        ({"when": {"cron": "0 0 30 2 *"}}, "when.cron", ""),
        ({"when": {"every": 1.0}}, "when.every", "10 s"),
        ({"when": {"cron": "0 * * * *", "zone": "Mars/Phobos"}}, "when.zone", "time zone"),
        ({"when": {"cron": "0 * * * *", "zone": "../../etc/passwd"}}, "when.zone", "time zone"),
        ({"format": "xml"}, "format", "xml"),
        ({"keep": -1}, "keep", ">= 0"),
        ({"destination": "../x"}, "destination", "folder below"),
        ({"destination": "s3://bucket/x"}, "destination", "exports.buckets"),
        ({"destination": "file:///etc"}, "destination", "s3://"),
        ({"what": {"filter": "comm ~"}}, "what.filter", ""),
        ({"what": {"sessions": ["nope"]}}, "what.sessions", "no session"),
        ({"what": {"sql": "SELECT 1", "gadget": "trace_tcp"}}, "what.sql", "alone"),
        ({"what": {"sql": "DELETE FROM v_events"}}, "what.sql", ""),
        ({"what": {"sql": "SELECT nope FROM v_events"}}, "what.sql", ""),
        ({"what": {"gadget": "trace_tpc"}}, "what.gadget", "trace_tcp"),
        ({"what": {"states": ["dead"]}}, "what.states", "dead"),
        ({"nope": 1}, "nope", "unknown"),
    ],
)
def test_wrong_ones_name_the_field(
    side: Web, change: dict[str, Any], field: str, words: str
) -> None:
    status, answer = send(side, "POST", "/api/schedules", BODY | change)
    assert status == 422
    assert field in answer["problems"]
    assert words in answer["problems"][field]


def test_a_statement_and_an_image_that_are_right(side: Web) -> None:
    side.session()
    what = {"gadget": "ghcr.io/somebody/trace_mine:v1"}
    assert send(side, "POST", "/api/schedules", BODY | {"what": what})[0] == 201
    what = {"sql": "SELECT count(*) FROM trace_tcp"}
    status, answer = send(side, "POST", "/api/schedules", BODY | {"what": what})
    if side.url.startswith("sqlite"):
        assert status == 201
    else:  # nobody made the role that reads the views
        assert "igdash db sql-setup" in answer["problems"]["what.sql"]


def test_a_filter_that_fits_no_session_there_is(side: Web) -> None:
    side.session()
    body = BODY | {"what": {"filter": 'proc.com = "x"'}}
    status, answer = send(side, "POST", "/api/schedules", body)
    assert status == 422
    assert "proc.com" in answer["problems"]["what.filter"]


def test_a_filter_that_is_ambiguous_in_a_session_there_is(side: Web) -> None:
    """It fits another one, yet every run would fail at this."""
    for gadget in ("trace_tcp", "trace_sni"):
        side.session(gadget)
    body = BODY | {"what": {"filter": "port = 443"}}
    status, answer = send(side, "POST", "/api/schedules", body)
    assert status == 422
    assert "may be" in answer["problems"]["what.filter"]


def test_without_a_collector_nothing_is_changed(side: Web) -> None:
    side.control.down = True
    assert send(side, "POST", "/api/schedules", BODY)[0] == 503
    assert get(side, "/api/schedules")[1]["schedules"] == []
