"""What `igdash import` says when its collector goes away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from igdash import settings as all_settings
from igdash.cli import imports
from igdash.domain.errors import CollectorUnavailable
from igdash.domain.imports import ImportFormat, ImportState, ImportStatus
from igdash.domain.ports import Control
from igdash.domain.sessions import SessionId
from tests.support.seed import seed

RUNNING = ImportStatus(
    id="i1", file="x.jsonl", format=ImportFormat.CAPTURE, size=9, read=1, lines=1,
    sessions=(SessionId("s1"),), state=ImportState.RUNNING, started=1,
)  # fmt: skip


class Collector:
    """Knows no import, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away

    def imports(self) -> Sequence[ImportStatus]:
        if self.away:
            raise CollectorUnavailable("no collector is running")
        return ()


def test_a_collector_that_was_started_again_knows_nothing_of_an_import() -> None:
    with pytest.raises(CollectorUnavailable, match=r"started again during the import.*session s1"):
        imports._wait(cast("Control", Collector()), RUNNING)


@pytest.mark.timeout(20)
def test_the_end_of_a_session_is_not_awaited_when_nobody_stores_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/igdash.db"
    [session] = seed(url, sessions=1, events=1)
    settings = all_settings.load(overrides={"store.url": url}, environ={})
    read = replace(RUNNING, state=ImportState.DONE, finished=2, sessions=(session.id,))
    with pytest.raises(CollectorUnavailable):
        imports._stored(cast("Control", Collector(away=True)), settings, read)
