"""gadgets and environments: what can be run, and where."""

from __future__ import annotations

import argparse

from igdash.api import shapes
from igdash.bootstrap import control_client
from igdash.cli.change import NO_ENVIRONMENT
from igdash.cli.context import settings_of
from igdash.cli.main import OK, complain
from igdash.cli.output import Column, print_json, print_pairs, print_table, show
from igdash.cli.shapes import ENVIRONMENT, GADGET
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import CollectorUnavailable
from igdash.domain.gadgets import Field, Gadget, Param


def gadgets(args: argparse.Namespace) -> int:
    """List the catalogue, or describe one gadget."""
    from igdash.sources.catalogue import load_catalogue

    catalogue = load_catalogue()
    if not args.name:
        show(catalogue.all(), GADGET, args.output)
    elif args.output in ("json", "jsonl"):
        gadget = catalogue.get(args.name)
        print_json(shapes.gadget(gadget, 0), indent=2 if args.output == "json" else None)
    elif args.output == "name":
        print(catalogue.get(args.name).name)
    else:
        _describe(catalogue.get(args.name), everything=args.output == "wide")
    return OK


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
    show(rows, ENVIRONMENT, args.output)
    return OK


def _describe(gadget: Gadget, *, everything: bool) -> None:
    """Print a gadget with its parameters and fields; hidden and advanced ones when wanted."""
    print_pairs(
        [
            ("name", gadget.name),
            ("title", gadget.title),
            ("category", gadget.category),
            ("delivery", gadget.delivery),
            ("description", gadget.description),
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
