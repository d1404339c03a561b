"""`python app.py` is `igdash serve`: collector and dashboard, in the foreground."""

from __future__ import annotations

import sys

from igdash.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
