"""Origins: each distinct one stored once, remembered on both sides.

`k8s` and `runtime` are about two fifths of every event and repeat for thousands of them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import astuple
from typing import Final

from sqlalchemy import Connection, insert, select

from igdash.domain.events import Origin
from igdash.store.rows import clean
from igdash.store.tables import origins

_REMEMBERED: Final = 50_000


class Interner:
    """Origin → id, for the writer. Ids learnt in a transaction count only after `committed`."""

    def __init__(self) -> None:
        self._known: dict[Origin, int] = {}
        self._fresh: dict[Origin, int] = {}

    def ids(self, conn: Connection, found: Sequence[Origin]) -> list[int]:
        """Return the id of each origin.

        By the objects' identity, as long as the caller holds them: it saves hashing seven texts per
        event, for decoders hand out the same object for a repeating origin.
        """
        keys = list(map(id, found))
        distinct = dict(zip(keys, found, strict=True))
        ids = {key: self._id(conn, origin) for key, origin in distinct.items()}
        return [ids[key] for key in keys]

    def _id(self, conn: Connection, origin: Origin) -> int:
        known = self._known.get(origin) or self._fresh.get(origin)
        if known is None:
            known = self._fresh[origin] = _store(conn, origin)
        return known

    def committed(self) -> None:
        """Keep what the transaction added."""
        if len(self._known) + len(self._fresh) > _REMEMBERED:
            self._known.clear()
        self._known.update(self._fresh)
        self._fresh.clear()

    def rolled_back(self) -> None:
        """Forget what the transaction added: those ids do not exist."""
        self._fresh.clear()

    def forget(self) -> None:
        """Forget everything, after origins were deleted."""
        self._known.clear()
        self._fresh.clear()


def _store(conn: Connection, origin: Origin) -> int:
    texts = tuple(clean(text) for text in astuple(origin))
    key = hashlib.blake2b(
        b"".join(len(t).to_bytes(8, "big") + t for t in (text.encode() for text in texts)),
        digest_size=16,
    ).digest()
    found = conn.execute(select(origins.c.id).where(origins.c.hash == key)).scalar()
    if found is not None:
        return int(found)
    names = ("node", "source", "namespace", "pod", "container", "k8s", "runtime")
    values = dict(zip(names, texts, strict=True))
    made = conn.execute(insert(origins).values(hash=key, **values).returning(origins.c.id))
    return int(made.scalar_one())


class OriginCache:
    """Id → origin, for readers. Thread-safe. Ids are never reused, so an entry never gets stale."""

    def __init__(self) -> None:
        self._known: dict[int, Origin] = {}
        self._lock = threading.Lock()

    def load(self, conn: Connection, ids: set[int]) -> dict[int, Origin]:
        """Return the origins of `ids`, reading only those not seen before."""
        known = self._known
        missing = [one for one in ids if one not in known]
        if not missing:
            return known
        c = origins.c
        columns = (c.id, c.node, c.source, c.namespace, c.pod, c.container, c.k8s, c.runtime)
        found: dict[int, Origin] = {}
        for start in range(0, len(missing), 500):
            some = missing[start : start + 500]
            for row in conn.execute(select(*columns).where(c.id.in_(some))):
                found[row[0]] = Origin(*row[1:])
        return self._remember(known, found)

    def _remember(self, known: dict[int, Origin], found: dict[int, Origin]) -> dict[int, Origin]:
        with self._lock:  # copy on write: a reader in another thread keeps the map it has
            base = known if len(known) + len(found) <= _REMEMBERED else {}
            merged = self._known = base | found
        return merged if base is known else known | found
