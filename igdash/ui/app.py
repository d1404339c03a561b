"""Puts the dashboard on a Flask server: the document, the shell, its views, the policy of the page.

Almost everything that moves is JavaScript over our own REST interface (assets/); Dash holds the
layout and the components. So there are hardly any callbacks, and no state on the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dash import Dash
from flask import Flask, Response, request

from igdash.ui import environments, exports, gadgets, session, sessions, sql, start
from igdash.ui.page import embedded_catalogue, page
from igdash.ui.routes import is_view
from igdash.ui.shell import shell
from igdash.ui.theme import THEME_SCRIPT, csp_source

if TYPE_CHECKING:
    from igdash.services.web import WebServices

_VIEWS = (gadgets, start, sessions, session, environments, sql, exports)
_CALLBACK_PATH = "/_dash-update-component"


class _Page(Dash):
    """A Dash whose document is `igdash.ui.page`; `gadgets_json` is set by `create_app`."""

    gadgets_json = "[]"

    def interpolate_index(self, **parts: Any) -> str:  # type: ignore[override]
        """Return the document (Dash calls this for every page load)."""
        return page(
            self.gadgets_json,
            title=parts["title"],
            css=parts["css"],
            config=parts["config"],
            scripts=parts["scripts"],
            renderer=parts["renderer"],
        )


def create_app(services: WebServices, server: Flask) -> Dash:
    """Add the dashboard to `server` and return its Dash app.

    The REST interface is registered separately; whatever is not its path is answered with the
    document, so that every address of the dashboard can be opened and reloaded.
    """
    app = _Page(
        "igdash",
        server=cast(Any, server),
        assets_folder=str(Path(__file__).parent / "assets"),
        assets_ignore=sql.LAZY,
        serve_locally=True,
        title="igdash",
        update_title="",
        suppress_callback_exceptions=True,
        use_pages=False,
        use_async=False,
        add_log_handler=False,
    )
    app.gadgets_json = embedded_catalogue(services.gadgets.all())
    app.layout = shell(
        gadgets=gadgets.layout(services),
        start=start.layout(services),
        sessions=sessions.layout(services),
        session=session.layout(services),
        environments=environments.layout(services),
        sql=sql.layout(services),
        exports=exports.layout(services),
    )
    for view in _VIEWS:
        view.register(app, services)
    _refuse_unknown_callbacks(app, server)
    _allow_inline_scripts(app, server)
    _mark_missing_pages(server)
    _cache_assets(server)
    return app


def _refuse_unknown_callbacks(app: Dash, server: Flask) -> None:
    """Answer 400 to what is no callback of ours: Dash itself would fail with a 500 and a traceback."""

    @server.before_request
    def refuse() -> Response | None:
        if request.path != _CALLBACK_PATH or request.method != "POST":
            return None
        body = request.get_json(silent=True)
        output = body.get("output") if isinstance(body, dict) else None
        if isinstance(output, str) and output in app.callback_map:
            return None
        problem = (
            '{"type":"about:blank","title":"Bad Request","status":400,"detail":"unknown callback"}'
        )
        return Response(problem, status=400, content_type="application/problem+json")


def _allow_inline_scripts(app: Dash, server: Flask) -> None:
    """Name the inline scripts of the document to the content security policy (`api.security`)."""
    server.config["SCRIPT_HASHES"] = (*app.csp_hashes(), csp_source(THEME_SCRIPT))


def _mark_missing_pages(server: Flask) -> None:
    """Give the document the status 404 when its address names no view (it says so as well)."""

    @server.after_request
    def mark(response: Response) -> Response:
        is_page = response.status_code == 200 and response.mimetype == "text/html"
        is_page = is_page and not request.path.startswith("/api/")  # reports are HTML, too
        if is_page and not is_view(request.path):
            response.status_code = 404
        return response


def _cache_assets(server: Flask) -> None:
    """Let browsers keep our files: their addresses carry the time of their last change."""

    @server.after_request
    def keep(response: Response) -> Response:
        if request.path.startswith("/assets/") and response.status_code in (200, 304):
            fixed = "m" in request.args
            response.headers["Cache-Control"] = (
                "public, max-age=31536000, immutable" if fixed else "public, max-age=86400"
            )
        return response
