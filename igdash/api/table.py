"""The table of calls in docs/api.md: `python -m igdash.api.table` writes it, a test compares it."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from igdash.api.app import ROUTES

BEGIN = "<!-- calls: made by `python -m igdash.api.table` -->\n"
END = "<!-- end of calls -->"


def table() -> str:
    """Return the calls as Markdown."""
    lines = ["| call | parameters | answers |", "|---|---|---|"]
    for route in ROUTES:
        fields = msgspec.structs.fields(route.query) if route.query else ()
        names = [f"`{info.encode_name}`" for info in fields]
        if route.body is not None:
            names.append(f"body: `{route.body.__name__}`")
        lines.append(
            f"| `{route.method} {route.path}` | {' '.join(names)} | {route.status} {route.summary} |"
        )
    return "\n".join(lines) + "\n"


def inserted(text: str) -> str:
    """Return the document with the table between its marks."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]


def main(path: str = "docs/api.md") -> None:
    """Write the table into the document."""
    document = Path(path)
    document.write_text(inserted(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
