"""The double says what a real API server said, and its refusals are understood."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from igdash.domain.errors import SourceError
from igdash.sources.native.apiserver import ApiServer, Denied, Gone, NotThere, Right, _message
from tests.support.apiserver import FakeApiServer, api_server
from tests.support.cluster import environment

DATA = Path(__file__).parents[3] / "data" / "kubernetes"
ERRORS = {one["name"]: one for one in json.loads((DATA / "errors.json").read_text())}
RIGHT = Right(verb="list", resource="pods", namespace="gadget")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as made:
        made.gadget_pod("gadget-gsqgg", "worker-1", 0)
        made.compact()
        yield made


def ask(server: FakeApiServer, recorded: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    tls = ssl.create_default_context(cafile=str(server.authority.ca))
    headers = {}
    if recorded["credentials"] == "client certificate":
        tls.load_cert_chain(*server.client_files)
    elif recorded["credentials"] == "token":
        token = "bad" if recorded["status"] == 401 else "no-rights"
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=tls, timeout=5)
    try:
        connection.request(recorded["method"], recorded["path"], headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def gist(body: dict[str, Any]) -> tuple[object, ...]:
    status = body.get("object", body)
    text = status["message"].partition("(")[0].partition(", current")[0]
    text = text.replace("system:anonymous", "system:serviceaccount:demo:igdash")
    return body.get("type"), status["code"], text


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_the_double_refuses_as_the_real_one(server: FakeApiServer, name: str) -> None:
    recorded = ERRORS[name]
    server.tokens["no-rights"] = frozenset()
    status, body = ask(server, recorded)
    assert status == recorded["status"]
    assert gist(body) == gist(recorded["body"])


def raised(server: FakeApiServer, config: Path, path: str) -> SourceError:
    async def work() -> None:
        api = ApiServer(environment(config))
        try:
            await api.get(path, RIGHT)
        finally:
            await api.close()

    with pytest.raises(SourceError) as caught:
        asyncio.run(work())
    return caught.value


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/nosuchthing", NotThere),
        ("/api/v1/pods?resourceVersion=1&resourceVersionMatch=Exact", Gone),
        ("/api/v1/pods?resourceVersion=999999999", SourceError),
        ("/api/v1/pods?labelSelector=%3D%3Dx", SourceError),
    ],
)
def test_refusals_have_kinds(server: FakeApiServer, path: str, kind: type[SourceError]) -> None:
    error = raised(server, server.cert_config(), path)
    assert type(error) is kind
    assert str(error)


def test_a_missing_right_is_named(server: FakeApiServer) -> None:
    server.tokens["no-rights"] = frozenset()
    config = server.token_config("no-rights", "kubeconfig-no-rights")
    error = raised(server, config, "/api/v1/namespaces/gadget/pods")
    assert isinstance(error, Denied)
    assert str(error) == "missing right: list pods in namespace gadget"
    assert str(Right(verb="list", resource="pods")) == "list pods in all namespaces"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"kind":"Status","message":"no"}', "no"),
        ("pod not found\n", "pod not found"),
        ("[1]", "[1]"),
        ("", ""),
    ],
)
def test_the_text_of_a_refusal(body: str, text: str) -> None:
    assert _message(body) == text
