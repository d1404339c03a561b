"""What the columns of a session are: as expected at its start, then as its own streams told.

Nodes of one session can run different versions of Inspektor Gadget, and one can be upgraded while
the session runs, so a session may have several schemas; each distinct one is kept once.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, insert, select

from igdash.domain.events import Schema
from igdash.domain.gadgets import DataSource, merged_sources
from igdash.store.rows import clamp, clean, dump_sources, load_sources
from igdash.store.tables import fields, session_fields

_c = session_fields.c


def fields_id(conn: Connection, sources: tuple[DataSource, ...]) -> int | None:
    """Return the id under which these data sources are kept, storing them if need be."""
    if not sources:
        return None
    key, text = dump_sources(sources)
    found = conn.execute(select(fields.c.id).where(fields.c.hash == key)).scalar()
    if found is None:
        made = insert(fields).values(hash=key, sources=text).returning(fields.c.id)
        found = conn.execute(made).scalar_one()
    return int(found)


def add_schemas(conn: Connection, session: int, schemas: Iterable[Schema]) -> None:
    """Keep those schemas that the session does not have yet."""
    for schema in schemas:
        wanted = fields_id(conn, schema.sources)
        mine = _c.session_id == session
        same = select(_c.n).where(mine, _c.fields_id == wanted)
        if wanted is None or conn.execute(same).first() is not None:
            continue
        last = conn.execute(select(func.coalesce(func.max(_c.n), 0)).where(mine)).scalar_one()
        conn.execute(
            insert(session_fields).values(
                session_id=session,
                n=last + 1,
                ts=clamp(schema.ts),
                node=clean(schema.node),
                fields_id=wanted,
            )
        )


def session_sources(
    conn: Connection, session: int, started_with: int | None
) -> tuple[DataSource, ...]:
    """Return all columns the session can have, those of its newest schema first.

    `started_with` is the `schema_id` of the session.
    """
    told = (
        select(fields.c.sources)
        .join(session_fields, _c.fields_id == fields.c.id)
        .where(_c.session_id == session)
        .order_by(_c.n.desc())
    )
    texts = conn.execute(told).scalars().all()
    if not texts and started_with is not None:
        start = select(fields.c.sources).where(fields.c.id == started_with)
        texts = [conn.execute(start).scalar_one()]
    return merged_sources(load_sources(text) for text in texts)
