"""The command `igdash`, and `python -m igdash`.

Written so that an old Python can read it: it says what is wrong before anything else is imported.
"""

from __future__ import annotations

import sys

OLDEST = (3, 11)


def main(argv=None):  # type: (list[str] | None) -> int
    """Run one command line; return its exit code: 0 ok, 1 failed, 2 wrong usage."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.stderr.write("igdash: needs Python 3.11 or newer, this is %s\n" % found)  # noqa: UP031
        return 1
    from igdash.cli.main import run

    return run(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
