"""The start form's place on the page, and what the form cannot ask the REST interface for.

The form itself is made in the browser (assets/46-start-model.js … 49-start.js) from the gadget's own
parameters, so that typing costs no round trip through Dash and a draft survives a view switch.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dash import Dash, html
from dash.development.base_component import Component

from igdash.domain.commands import default_target

if TYPE_CHECKING:
    from igdash.services.web import WebServices

ROOT = "start-root"
"""Id of the element the scripts fill."""


def layout(services: WebServices) -> Component:
    """Return the view: an empty root that names, per environment, the namespace a target begins with."""
    usual = {one.name: default_target(one).namespace for one in services.environments}
    return html.Div(id=ROOT, className="start", **{"data-usual": json.dumps(usual)})


def register(app: Dash, services: WebServices) -> None:
    """Add the view's callbacks: none, the scripts talk to the REST interface."""
