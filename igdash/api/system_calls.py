"""Calls about igdash itself: gadgets, environments, figures, health."""

from __future__ import annotations

import msgspec
from flask import Response

from igdash import __version__
from igdash.api import requests as asked
from igdash.api import schemas as s
from igdash.api import shapes
from igdash.api.metrics import exposition
from igdash.api.problems import problem
from igdash.api.routes import Call, Route
from igdash.services.live import stats_now
from igdash.services.web import WebServices


def gadgets(services: WebServices, call: Call) -> s.GadgetsOut:
    """Answer the catalogue."""
    q: asked.GadgetsQuery = call.query
    running = services.gadgets.running()
    return s.GadgetsOut(
        gadgets=[
            shapes.gadget(one, running.get(one.name, 0), brief=q.brief)
            for one in services.gadgets.all(q.environment)
        ]
    )


def gadget(services: WebServices, call: Call) -> s.GadgetOut:
    """Answer one gadget with its parameters and fields, and whose word they are."""
    q: asked.GadgetQuery = call.query
    one = services.gadgets.described(call.path["name"], q.environment, q.wait)
    running = services.gadgets.running().get(one.gadget.name, 0)
    return shapes.described(one, running) if q.environment else shapes.gadget(one.gadget, running)


def environments(services: WebServices, _call: Call) -> s.EnvironmentsOut:
    """Answer the environments."""
    found, places = services.gadgets.environments(), services.gadgets.places()
    return s.EnvironmentsOut(
        environments=[shapes.environment(one, places[one.name]) for one in found]
    )


def check_environment(services: WebServices, call: Call) -> s.EnvironmentOut:
    """Ask an environment anew and answer what it says."""
    found = services.gadgets.test(call.path["environment"])
    return shapes.environment(found, services.gadgets.places()[found.name])


def instances(services: WebServices, call: Call) -> s.InstancesOut:
    """Answer the headless instances of an environment."""
    found = services.gadgets.instances(call.path["environment"])
    return s.InstancesOut(instances=[shapes.instance(one) for one in found])


def stats(services: WebServices, _call: Call) -> s.StatsOut:
    """Answer rates, lag and sizes."""
    return s.StatsOut(
        version=__version__,
        stats=msgspec.convert(stats_now(services.health.pulse()), s.StatsNow),
        totals=dict(services.health.totals()),
    )


def healthz(_services: WebServices, _call: Call) -> s.HealthOut:
    """Answer that this process answers."""
    return s.HealthOut(status="ok", version=__version__)


def readyz(services: WebServices, _call: Call) -> s.ReadyOut | Response:
    """Answer whether store and collector answer as well."""
    troubles = dict(services.health.troubles())
    if services.hub.closed:
        troubles["web"] = "shutting down"
    if troubles:
        detail = "; ".join(f"{part}: {why}" for part, why in troubles.items())
        return problem(503, detail, troubles)
    return s.ReadyOut(status="ready", checks={"store": "ok", "collector": "ok"})


def metrics(services: WebServices, _call: Call) -> Response:
    """Answer figures for Prometheus."""
    return Response(exposition(services), content_type="text/plain; version=0.0.4; charset=utf-8")


ROUTES = (
    Route(
        method="GET",
        path="/api/gadgets",
        summary="The catalogue, with how many sessions of each gadget run",
        handler=gadgets,
        query=asked.GadgetsQuery,
        response=s.GadgetsOut,
    ),
    Route(
        method="GET",
        path="/api/gadgets/{name}",
        summary="One gadget, or image, with its parameters and fields as its environment has them",
        handler=gadget,
        query=asked.GadgetQuery,
        response=s.GadgetOut,
        errors=(400, 404, 422, 503),
        slashes=True,
    ),
    Route(
        method="GET",
        path="/api/environments",
        summary="Every environment, whether it answers, its nodes",
        handler=environments,
        response=s.EnvironmentsOut,
        errors=(400,),
    ),
    Route(
        method="POST",
        path="/api/environments/{environment}/test",
        summary="Ask an environment anew whether it answers",
        handler=check_environment,
        response=s.EnvironmentOut,
        errors=(400, 403, 404, 503),
        slashes=True,
    ),
    Route(
        method="GET",
        path="/api/environments/{environment}/instances",
        summary="The gadgets that run there by themselves",
        handler=instances,
        response=s.InstancesOut,
        errors=(400, 404, 422, 502, 503),
        slashes=True,
    ),
    Route(
        method="GET",
        path="/api/stats",
        summary="Write rate, lag, backlog and totals",
        handler=stats,
        response=s.StatsOut,
        errors=(400, 503),
    ),
    Route(
        method="GET",
        path="/healthz",
        summary="Whether the web server answers",
        handler=healthz,
        response=s.HealthOut,
        errors=(400,),
    ),
    Route(
        method="GET",
        path="/readyz",
        summary="Whether store and collector answer too; 503 says what does not",
        handler=readyz,
        response=s.ReadyOut,
        errors=(400, 503),
    ),
    Route(
        method="GET",
        path="/metrics",
        summary="Figures for Prometheus",
        handler=metrics,
        media=("text/plain",),
        errors=(400, 503),
    ),
)
