"""From parsed words to settings: which of them override which setting."""

from __future__ import annotations

import argparse
from typing import Any, Final

from igdash import settings as all_settings
from igdash.settings import Settings

_OPTIONS: Final = {
    "store": "store.url",
    "host": "web.host",
    "port": "web.port",
    "insecure_no_login": "web.insecure_no_login",
    "log_level": "log.level",
    "log_format": "log.format",
}


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line sets, by key. `--set` is weaker than an option."""
    given = {
        key: getattr(args, option)
        for option, key in _OPTIONS.items()
        if getattr(args, option, None) is not None
    }
    return dict(args.settings or []) | given


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the effective settings. Raises `SettingsError`."""
    return all_settings.load(args.config, overrides=overrides(args))
