"""gadgets and environments: what can be run, and where."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from igdash.api import shapes
from igdash.bootstrap import catalogue, control_client, gadget_metadata
from igdash.cli.change import NO_ENVIRONMENT
from igdash.cli.context import settings_of
from igdash.cli.main import OK, complain
from igdash.cli.output import Column, print_json, print_pairs, print_table, show
from igdash.cli.shapes import GADGET, INSTANCE, environment_listing
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import CollectorUnavailable, EnvironmentNotFound
from igdash.domain.gadgets import Field, Gadget, Param
from igdash.domain.text import visible
from igdash.services.admission import no_environment
from igdash.services.metadata import Described
from igdash.settings import Settings

WAIT: Final = 25.0
"""Seconds one question to an environment may take before people are told that it does."""


def gadgets(args: argparse.Namespace) -> int:
    """List the gadgets, or describe one; with `-e` those an environment has, in its own words."""
    settings = settings_of(args)
    if not args.name:
        show(_offered(settings, args.environment), GADGET, args.output)
        return OK
    found = _described(settings, args.name, args.environment)
    if args.output in ("json", "jsonl"):
        shape = shapes.described(found, 0) if args.environment else shapes.gadget(found.gadget, 0)
        print_json(shape, indent=2 if args.output == "json" else None)
    elif args.output == "name":
        print(visible(found.gadget.name))
    else:
        _describe(found, args.environment, everything=args.output == "wide")
    return OK


def _offered(settings: Settings, environment: str) -> Sequence[Gadget]:
    known = catalogue().all()
    if not environment:
        return known
    names = [one.name for one in settings.environments]
    if environment not in names:
        raise EnvironmentNotFound(no_environment(environment, names))
    try:
        found = control_client(settings).environments()
    except CollectorUnavailable as error:
        complain(f"what {environment} has is not known, so all are listed: {error}", OK)
        return known
    offered = next((one.gadgets for one in found if one.name == environment), ())
    return [gadget for gadget in known if not offered or gadget.name in offered]


def _described(settings: Settings, name: str, environment: str) -> Described:
    """Return the gadget; waits for its environment, for minutes if need be, and says so."""
    metadata = gadget_metadata(settings)
    found = metadata.get(name, environment, WAIT)
    if found.pending:
        complain(f"{environment} takes its time to describe {name}; waiting", OK)
    while found.pending:
        found = metadata.get(name, environment, WAIT)
    if environment and found.reason:
        complain(f"described by the catalogue: {found.reason}", OK)
    return found


def environments(args: argparse.Namespace) -> int:
    """List the environments; their health is known while a collector runs."""
    settings = settings_of(args)
    if not settings.environments:
        complain(f"environment: {NO_ENVIRONMENT}", OK)
    known = {}
    try:
        if settings.environments:
            known = {one.name: one for one in control_client(settings).environments()}
    except CollectorUnavailable as error:
        complain(f"health is not known: {error}", OK)
    rows = [
        known.get(one.name) or EnvironmentStatus(name=one.name, kind=one.kind)
        for one in settings.environments
    ]
    places = {one.name: one.place for one in settings.environments}
    show(rows, environment_listing(places), args.output)
    return OK


def instances(args: argparse.Namespace) -> int:
    """List the headless instances of an environment."""
    found = control_client(settings_of(args)).instances(args.environment)
    show(found, INSTANCE, args.output)
    return OK


def _describe(found: Described, environment: str, *, everything: bool) -> None:
    """Print a gadget with its parameters and fields; hidden and advanced ones when wanted."""
    gadget = found.gadget
    by = [("described by", environment if found.own else "the catalogue")] if environment else []
    print_pairs(
        [
            ("name", gadget.name),
            ("title", gadget.title),
            ("category", gadget.category),
            ("delivery", gadget.delivery),
            ("description", gadget.description),
            *by,
            *(("note", note) for note in gadget.notes),
        ]
    )
    params = [p for p in gadget.params if not p.target and (everything or not p.advanced)]
    if params:
        print("\nPARAMETERS")
        print_table(_PARAM_COLUMNS, params)
    for source in gadget.sources:
        fields = [f for f in source.fields if f.kind and (everything or not f.hidden)]
        print(f"\nFIELDS of {source.name or gadget.name}")
        print_table(_FIELD_COLUMNS, fields)


_PARAM_COLUMNS: tuple[Column[Param], ...] = (
    Column(title="NAME", text=lambda p: p.name),
    Column(title="TYPE", text=lambda p: p.type or "text"),
    Column(title="DEFAULT", text=lambda p: p.default),
    Column(title="DESCRIPTION", text=lambda p: p.description or p.title),
)
_FIELD_COLUMNS: tuple[Column[Field], ...] = (
    Column(title="NAME", text=lambda f: f.name),
    Column(title="KIND", text=lambda f: f.kind),
    Column(title="DESCRIPTION", text=lambda f: f.description),
)
