"""start, stop, delete: what only the running collector can do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from igdash.bootstrap import control_client, open_desk
from igdash.cli.context import settings_of
from igdash.cli.main import FAILED, OK, USAGE, complain
from igdash.cli.output import show_one
from igdash.cli.shapes import SESSION
from igdash.domain.errors import IgdashError, InvalidSpec
from igdash.domain.instances import Instance
from igdash.domain.sessions import SessionSpec, SessionState, StopAfter, Target
from igdash.settings import Settings


def start(args: argparse.Namespace) -> int:
    """Start a session and print its id."""
    settings = settings_of(args)
    if not args.gadget and not args.attach:
        return complain("name a gadget to start; `igdash gadgets` lists them", USAGE)
    environment = args.environment or _only_environment(settings)
    instance = _instance(settings, environment, args.attach)
    gadget = args.gadget or (instance.gadget if instance else "")
    if not gadget:
        raise InvalidSpec({"gadget": "name one; igdash gadgets lists them"})
    spec = SessionSpec(
        gadget=gadget,
        environment=environment,
        name=args.name,
        target=Target(
            namespace=args.namespace,
            pod=args.pod,
            container=args.container,
            node=args.node,
            selector=args.selector,
        ),
        params=dict(args.param),
        stop_after=StopAfter(seconds=args.duration, events=args.max_events),
        headless=args.headless,
        instance=instance.id if instance else "",
    )
    session = control_client(settings).start(spec)
    show_one(session, SESSION, args.output)
    if session.state is SessionState.FAILED:
        return complain(f"session {session.id} failed: {session.reason}", FAILED)
    return OK


def _instance(settings: Settings, environment: str, wanted: str) -> Instance | None:
    """Return the headless instance of this name or beginning of an id, None when none is wanted."""
    if not wanted:
        return None
    found = control_client(settings).instances(environment)
    fitting = [one for one in found if one.name == wanted or one.id.startswith(wanted)]
    if len(fitting) != 1:
        why = "several instances begin" if fitting else "no instance has this name or begins"
        raise InvalidSpec({"attach": f"{why} with {wanted!r}; see: igdash instances {environment}"})
    return fitting[0]


def stop(args: argparse.Namespace) -> int:
    """Ask the sessions to stop gracefully."""
    sessions = open_desk(settings_of(args)).sessions
    return _each(args.ids, lambda prefix: sessions.stop(prefix, keep=args.keep).id, "stopping")


def delete(args: argparse.Namespace) -> int:
    """Delete the sessions and their events."""
    sessions = open_desk(settings_of(args)).sessions
    return _each(args.ids, sessions.delete, "deleted")


def _only_environment(settings: Settings) -> str:
    names = [environment.name for environment in settings.environments]
    if len(names) == 1:
        return names[0]
    if names:
        raise InvalidSpec({"environment": f"name one with -e: {', '.join(names)}"})
    raise InvalidSpec({"environment": NO_ENVIRONMENT})


NO_ENVIRONMENT = (
    "none is configured, and neither ig nor kubectl-gadget is in PATH;"
    " add [[environments]] to the configuration (see docs/configuration.md)"
)


def _each(prefixes: list[str], change: Callable[[str], str], done: str) -> int:
    """Do it for each id, going on after errors; exit 1 when there was one."""
    code = OK
    for prefix in prefixes:
        try:
            print(f"{change(prefix)} {done}")
            sys.stdout.flush()
        except IgdashError as error:
            code = complain(error, FAILED)
    return code
