"""The list of views in docs/sql.md: `python scripts/make_sql_reference.py` writes it, a test compares."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from igdash.domain.sql import SqlColumn
from igdash.sources.catalogue import load_catalogue
from igdash.store.sql_views import BASE, GENERAL, view_of

BEGIN = "<!-- views: made by `python scripts/make_sql_reference.py` -->\n"
END = "<!-- end of views -->"
DOCUMENT = Path(__file__).parents[1] / "docs" / "sql.md"


def reference() -> str:
    """Return the views as Markdown."""
    parts = [
        f"**`{view.name}`** {view.description}\n\n{_columns(view.columns)}\n" for view in GENERAL
    ]
    parts.append(
        f"**Every gadget's view** begins with:\n\n{_columns(BASE)}\n\nand goes on with its fields:\n"
    )
    for gadget in load_catalogue().all():
        view = view_of(gadget.name, gadget.sources)
        parts.append(f"**`{view.name}`** {_columns(one.column for one in view.columns)}\n")
    return "\n".join(parts)


def inserted(text: str) -> str:
    """Return the document with the list between its marks."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + "\n" + reference() + "\n" + END + rest.partition(END)[2]


def _columns(columns: Iterable[SqlColumn]) -> str:
    return ", ".join(f"`{column.name}` {column.type}" for column in columns)


def main(path: str = str(DOCUMENT)) -> None:
    """Write the list into the document."""
    document = Path(path)
    document.write_text(inserted(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
