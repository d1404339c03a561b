"""What each kind of environment needs beyond its keys: said with the setting that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from igdash.domain.environments import Environment, EnvironmentKind, daemon_problem
from igdash.domain.errors import SettingsError


def completed(made: Environment, at: str, base: Path) -> Environment:
    """Return the environment with its paths made absolute, from the folder `base`.

    Raises `SettingsError` that names the key below `at`.
    """
    return _COMPLETE[made.kind](made, at, base)


def _complete_binary(made: Environment, at: str, base: Path) -> Environment:  # noqa: ARG001
    if not made.command:
        raise SettingsError(f"{at}.command: must name a program")
    return made


def _complete_replay(made: Environment, at: str, base: Path) -> Environment:
    if not made.folder:
        raise SettingsError(f"{at}.folder: must name the folder of the recordings")
    return replace(made, folder=_below(base, made.folder))


def _complete_daemon(made: Environment, at: str, base: Path) -> Environment:
    wrong = daemon_problem(made)
    if wrong is not None:
        raise SettingsError(f"{at}.{wrong[0]}: {wrong[1]}")
    if not made.tls_ca:
        return made
    ca, cert, key = (_below(base, path) for path in (made.tls_ca, made.tls_cert, made.tls_key))
    return replace(made, tls_ca=ca, tls_cert=cert, tls_key=key)


def _complete_kubernetes(made: Environment, at: str, base: Path) -> Environment:
    if not made.gadget_namespace:
        raise SettingsError(f"{at}.gadget_namespace: must name a namespace")
    return replace(made, kubeconfig=_below(base, made.kubeconfig)) if made.kubeconfig else made


def _below(base: Path, path: str) -> str:
    return str((base / Path(path).expanduser()).absolute())


_COMPLETE: Final[Mapping[EnvironmentKind, Callable[[Environment, str, Path], Environment]]] = {
    EnvironmentKind.IG: _complete_binary,
    EnvironmentKind.KUBECTL_GADGET: _complete_binary,
    EnvironmentKind.REPLAY: _complete_replay,
    EnvironmentKind.IG_DAEMON: _complete_daemon,
    EnvironmentKind.KUBERNETES: _complete_kubernetes,
}
