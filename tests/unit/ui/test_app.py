"""The dashboard on its server: every address answers, nothing a stranger sends makes a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from igdash.ui.app import create_app
from igdash.ui.theme import THEME_SCRIPT, csp_source
from tests.support.web import Web, web


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web(f"sqlite:///{tmp_path_factory.mktemp('ui') / 'x.db'}") as found:
        create_app(found.services, found.app)
        yield found


@pytest.fixture
def client(side: Web) -> FlaskClient:
    return side.app.test_client()


@pytest.mark.parametrize(
    "path", ["/", "/gadgets", "/start/trace_tcp", "/sessions", "/sessions/abc"]
)
def test_every_view_answers_with_the_document(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "igdash-catalogue" in answer.text


def test_mistyped_addresses_say_404_with_the_document(client: FlaskClient) -> None:
    answer = client.get("/gadgetz")
    assert answer.status_code == 404
    assert "react-entry-point" in answer.text


def test_api_is_not_the_document(client: FlaskClient) -> None:
    answer = client.get("/api/nothing")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


def test_a_report_is_html_and_no_mistyped_address(side: Web, client: FlaskClient) -> None:
    answer = client.get(f"/api/sessions/{side.session()}/export?format=html")
    assert answer.mimetype == "text/html"
    assert answer.status_code == 200


def test_policy_allows_our_inline_scripts_and_no_eval(client: FlaskClient) -> None:
    policy = client.get("/gadgets").headers["Content-Security-Policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts
    assert csp_source(THEME_SCRIPT) in scripts[1]
    assert "unsafe" not in scripts[1]


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b"{}", b'{"output": 1}', b'{"output": "no.such"}']
)
def test_unknown_callbacks_are_a_bad_request(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/_dash-update-component", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"


def test_every_script_and_style_is_served_by_us(client: FlaskClient) -> None:
    text = client.get("/gadgets").text
    links = re.findall(r'(?:src|href)="(/[^"]+)"', text)
    assert len(links) > 20
    for link in links:
        with client.get(link) as answer:
            assert answer.status_code == 200, link


def test_core_scripts_come_before_those_of_the_views(client: FlaskClient) -> None:
    names = re.findall(r"/assets/(\d\d)-[\w-]+\.js", client.get("/gadgets").text)
    assert names == sorted(names)
    assert names[0] == "10"


def test_layout_is_json(client: FlaskClient) -> None:
    assert client.get("/_dash-layout").json


def test_assets_may_be_kept_and_pages_not(client: FlaskClient) -> None:
    link = re.findall(r'"(/assets/10-core[^"]+)"', client.get("/gadgets").text)[0]
    with client.get(link) as answer:
        assert "immutable" in answer.headers["Cache-Control"]
    assert "max-age" not in client.get("/gadgets").headers.get("Cache-Control", "")
