"""db, config and version: looking after an installation."""

from __future__ import annotations

import argparse
import platform

from igdash import __version__
from igdash import settings as all_settings
from igdash.cli.context import settings_of
from igdash.cli.main import FAILED, OK
from igdash.cli.output import Column, Listing, count, print_json, print_pairs, show
from igdash.domain.text import masked

Row = tuple[str, str, str]

_SETTINGS: Listing[Row] = Listing(
    key="settings",
    columns=(
        Column(title="KEY", text=lambda row: row[0]),
        Column(title="VALUE", text=lambda row: row[1]),
        Column(title="FROM", text=lambda row: row[2]),
    ),
    name=lambda row: row[0],
    shape=lambda row: {"key": row[0], "value": row[1], "origin": row[2]},
)


def version(_args: argparse.Namespace) -> int:
    """Print the version of igdash and of the Python that runs it."""
    print(f"igdash {__version__} (Python {platform.python_version()})")
    return OK


def show_config(args: argparse.Namespace) -> int:
    """Print every effective setting with its origin, secrets masked."""
    show(all_settings.shown(settings_of(args)), _SETTINGS, args.output)
    return OK


def upgrade(args: argparse.Namespace) -> int:
    """Create the tables, or bring them to this version."""
    from igdash.bootstrap import upgrade_store

    settings = settings_of(args)
    at = upgrade_store(settings)
    print(f"{masked(settings.store.url)} is at {at}")
    return OK


def check(args: argparse.Namespace) -> int:
    """Print what is wrong with the database, line by line; exit 1 when anything is."""
    from igdash.bootstrap import check_store

    problems = check_store(settings_of(args))
    for problem in problems:
        print(problem)
    if not problems:
        print("ok")
    return FAILED if problems else OK


def sql_setup(args: argparse.Namespace) -> int:
    """Make the role and the views that SQL needs on PostgreSQL."""
    from igdash.bootstrap import set_up_sql, sql_role_file

    settings = settings_of(args)
    role = set_up_sql(settings)
    print(f"role {role} reads the views; how it connects is in {sql_role_file(settings)}")
    return OK


def stats(args: argparse.Namespace) -> int:
    """Print sizes and counts of the database."""
    from igdash.bootstrap import store_stats

    found = store_stats(settings_of(args))
    if args.output in ("json", "jsonl"):
        print_json(found, indent=2 if args.output == "json" else None)
    else:
        print_pairs((name, count(v) if isinstance(v, int) else v) for name, v in found.items())
    return OK
