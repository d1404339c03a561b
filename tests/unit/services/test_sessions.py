"""Sessions by short ids; what is no id never reaches the store."""

from __future__ import annotations

from typing import Any

import pytest

from igdash.domain.errors import SessionNotFound
from igdash.domain.sessions import SessionSpec
from igdash.services.sessions import SPARK_SPAN, Sessions
from tests.support.fake_readers import FakeReaders


class Starter:
    """A Control of which only `start` is used."""

    spec: SessionSpec | None = None

    def start(self, spec: SessionSpec) -> Any:
        self.spec = spec
        return spec


@pytest.mark.parametrize("prefix", ["", "A1", "g", "a" * 13, "../a", "a\0", "\u0661", "a%"])
def test_what_is_no_id_is_not_looked_up(prefix: str) -> None:
    sessions = Sessions(reader=None, control=None)  # type: ignore[arg-type]
    with pytest.raises(SessionNotFound):
        sessions.resolve(prefix)


def test_a_short_id_a_restart_and_sparks() -> None:
    store: Any = FakeReaders()
    control: Any = Starter()
    id_ = store.new("abcdef012345")
    sessions = Sessions(reader=store, control=control)
    assert sessions.get("abc").id == id_
    sessions.restart("abc")
    assert control.spec == sessions.get("abc").spec
    assert sessions.sparks([sessions.get("abc")], 2) == {id_: [SPARK_SPAN] * 2}
    assert sessions.sparks([], 2) == {}
