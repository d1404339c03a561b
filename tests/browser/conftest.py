"""The one browser, the promise that its console stays empty, and a dashboard to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from igdash.ui.app import create_app
from tests.support.browser import Page, chromium, dashboard, missing
from tests.support.web import Web, web

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here; the selenium that Dash pins uses what its urllib3 calls deprecated."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.filterwarnings("ignore:HTTPResponse:DeprecationWarning"))


@pytest.fixture(scope="session")
def chrome() -> Iterator[Page]:
    """One Chromium for all tests."""
    if why := missing():
        pytest.skip(why)
    with chromium() as page:
        yield page


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Web]:
    """The whole web side over an empty store, pages included; its collector is a fake."""
    with web(f"sqlite:///{tmp_path / 'browser.db'}") as made:
        create_app(made.services, made.app)
        yield made


@pytest.fixture
def quiet() -> Callable[[str], bool]:
    """What the console may say; tests that provoke an error override it."""
    return lambda message: False


@pytest.fixture
def page(chrome: Page, side: Web, quiet: Callable[[str], bool]) -> Iterator[Page]:
    """The browser, as new, at the dashboard of `side`; its console must stay empty."""
    chrome.reset()
    with dashboard(side.app) as base:
        chrome.base = base
        yield chrome
        said = chrome.console()
        chrome.forget()
    assert [message for message in said if not quiet(message)] == []
