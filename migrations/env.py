"""Runs the migrations on the connection that `igdash.store.migrate` hands in.

There is no other way in on purpose: that module holds the locks and looks at the database first.
"""

from __future__ import annotations

from alembic import context

from igdash.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `igdash db upgrade`; migrations take their connection from it")
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
