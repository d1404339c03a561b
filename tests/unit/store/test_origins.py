from __future__ import annotations

import pytest

from igdash.domain.events import Origin
from igdash.store import origins
from igdash.store.origins import Interner, OriginCache
from tests.support.stores import Store


def test_each_origin_is_stored_once_however_it_comes(store: Store) -> None:
    interner = Interner()
    engine = store.writer._engine
    some = [Origin(pod="a"), Origin(pod="a"), Origin(pod="b"), Origin(pod="a", node="n")]
    with engine.begin() as conn:
        ids = interner.ids(conn, some)
    interner.committed()
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    with engine.begin() as conn:
        again = Interner().ids(conn, some)
    assert again == ids


def test_texts_do_not_run_into_each_other(store: Store) -> None:
    with store.writer._engine.begin() as conn:
        some = [Origin(pod="ab", container="c"), Origin(pod="a", container="bc")]
        assert len(set(Interner().ids(conn, some))) == 2


def test_what_was_rolled_back_is_not_remembered(store: Store) -> None:
    interner = Interner()
    one = Origin(pod="x")
    with store.writer._engine.connect() as conn:
        interner.ids(conn, [one])
        conn.rollback()
    interner.rolled_back()
    with store.writer._engine.begin() as conn:
        (number,) = interner.ids(conn, [one])
    with store.reader.engine.connect() as conn:
        assert OriginCache().load(conn, {number})[number] == one


def test_the_caches_stay_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "_REMEMBERED", 10)
    interner, cache = Interner(), OriginCache()
    known: list[int] = []
    found: dict[int, Origin] = {}
    for i in range(25):
        one = Origin(pod=str(i))
        with store.writer._engine.begin() as conn:
            known += interner.ids(conn, [one])
        interner.committed()
        with store.reader.engine.connect() as conn:
            found = cache.load(conn, {known[i], known[i // 2]})
        assert found[known[i]].pod == str(i)
        assert found[known[i // 2]].pod == str(i // 2)
        assert len(interner._known) <= 11
        assert len(cache._known) <= 11
