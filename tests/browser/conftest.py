"""The one browser, and the promise that its console stays empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Page, chromium, missing


@pytest.fixture(scope="session")
def chrome() -> Iterator[Page]:
    """One Chromium for all tests."""
    if why := missing():
        pytest.skip(why)
    with chromium() as page:
        yield page


@pytest.fixture
def page(chrome: Page) -> Iterator[Page]:
    """The browser, as new; the console must say nothing."""
    chrome.reset()
    yield chrome
    assert chrome.console() == []
