"""check: whether an environment works with this igdash, gadget by gadget."""

from __future__ import annotations

import argparse
import dataclasses

from igdash.bootstrap import check_environment
from igdash.cli.context import settings_of
from igdash.cli.main import FAILED, OK
from igdash.cli.output import Column, Listing, count, print_json, show
from igdash.domain.text import visible
from igdash.services.check import Checked, Verdict

CHECKED: Listing[Checked] = Listing(
    key="gadgets",
    columns=(
        Column(title="GADGET", text=lambda c: c.gadget),
        Column(title="RESULT", text=lambda c: c.verdict),
        Column(title="FIELDS", text=lambda c: c.fields or "", right=True),
        Column(title="PARAMS", text=lambda c: c.params or "", right=True),
        Column(title="START", text=lambda c: f"{c.seconds:.1f} s", right=True),
        Column(title="NODES", text=lambda c: c.nodes, right=True),
        Column(title="EVENTS", text=lambda c: count(c.events), right=True),
        Column(title="TICKS", text=lambda c: count(c.ticks), right=True),
        Column(title="MALFORMED", text=lambda c: count(c.malformed), right=True),
        Column(title="LOST", text=lambda c: count(c.lost), right=True),
        Column(title="WHY", text=lambda c: c.why),
    ),
    name=lambda c: c.gadget,
    shape=dataclasses.asdict,
)


def check(args: argparse.Namespace) -> int:
    """Run every gadget there for some seconds and print what came; exit 1 unless all is well."""
    rows: list[Checked] = []
    found = check_environment(settings_of(args), args.environment, args.gadget, args.seconds)
    for row in found:
        rows.append(row)
        if args.output == "jsonl":
            print_json(CHECKED.shape(row))
        elif args.output == "table":
            # A catalogue takes minutes: a line per gadget as it comes, the table at the end.
            print(f"{row.gadget}: {row.verdict} {visible(row.why[:200])}".rstrip(), flush=True)
    if args.output != "jsonl":
        show(rows, CHECKED, args.output)
    bad = {Verdict.FAILED, Verdict.ODD}
    return FAILED if any(row.verdict in bad for row in rows) or not rows else OK
