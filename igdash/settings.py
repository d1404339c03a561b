"""Every setting: name, default, unit, help; and the only place that reads the environment.

A value comes from the command line, else an `IGDASH_SECTION__KEY` variable, else the TOML file
(`--config` or `IGDASH_CONFIG`), else its default; `Settings.origins` remembers which. Being strict
is the point: a misspelt key that is silently ignored is a session that is silently not collected.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from igdash.domain.complete import completed
from igdash.domain.environments import (
    ENVIRONMENT_KEYS,
    Environment,
    EnvironmentKind,
)
from igdash.domain.errors import SettingsError
from igdash.domain.images import OFFICIAL
from igdash.domain.text import masked
from igdash.domain.values import ANY, Limits, convert, near

PREFIX: Final = "IGDASH_"


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Define one setting: a dataclass field that knows its help, unit and allowed values."""
    limits = Limits(low=low, high=high, choices=choices)
    return field(default=default, metadata={"help": help, "unit": unit, "limits": limits})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """[store]: where the history is kept."""

    url: str = setting(
        "",
        "Database: sqlite:////absolute/path.db or postgresql+psycopg://user@host/db. Empty: igdash.db"
        " in the user's data folder (~/.local/share/igdash).",
    )
    state_dir: str = setting(
        "",
        "Folder of the spool files and the control socket. Empty: beside a SQLite file (igdash.state"
        " beside igdash.db), else in ~/.local/state/igdash.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """[web]: the dashboard and its API."""

    host: str = setting("127.0.0.1", "Address to listen on.")
    port: int = setting(8050, "Port to listen on; 0 takes a free one.", low=0, high=65535)
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Names under which browsers may reach igdash, besides localhost and web.host; other Host"
        " headers are refused.",
    )
    max_sockets: int = setting(
        200, "WebSockets served at once; more are refused with a reason.", low=1, high=10_000
    )
    query_workers: int = setting(
        2,
        "Processes that answer filters, sorts and figures over whole histories, each on one core;"
        " started when first needed.",
        low=1,
        high=64,
    )
    max_upload_mb: int = setting(
        4096,
        "Largest file that may be uploaded for import. `igdash import` has no such limit.",
        unit="MB",
        low=1,
        high=1_000_000,
    )
    insecure_no_login: bool = setting(
        False,
        "Allow a web.host that other machines can reach, although igdash has no login: everybody who"
        " reaches the port sees all events and can start gadgets.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """[collect]: from the gadgets to the store."""

    window_ms: int = setting(
        50, "Time over which events are gathered into one transaction.", unit="ms", low=5, high=5000
    )
    max_spool_mb: int = setting(
        256,
        "Bytes per session that may wait for the database; what comes on top is counted as lost"
        " (cause writer).",
        unit="MB",
        low=1,
        high=1_000_000,
    )
    stop_timeout_s: float = setting(
        10.0,
        "How long a gadget may take to end after it was asked to, before it is killed.",
        unit="s",
        low=0.1,
        high=600,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GadgetSettings:
    """[gadgets]: what may be run."""

    allowed_images: tuple[str, ...] = setting(
        (OFFICIAL,),
        "Prefixes of image references that may be started besides the catalogue's gadgets; `*` stands"
        " for any text without a slash, alone for every image. An image runs in the kernel, as root.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """[exports]: where scheduled exports may write."""

    folder: str = setting(
        "",
        "Folder below which schedules write. Empty: beside a SQLite file (igdash.exports beside"
        " igdash.db), else in the state folder.",
    )
    buckets: tuple[str, ...] = setting(
        (),
        "Prefixes of S3 URLs that schedules may write to, e.g. s3://backup/igdash; none by default."
        " Keys come from the AWS_… variables or the machine's role.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """[log]: what igdash says about itself, on stderr."""

    level: str = setting(
        "info", "Least important level shown.", choices=("debug", "info", "warning", "error")
    )
    format: str = setting(
        "text", "One line of text, or one JSON object, per record.", choices=("text", "json")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective settings. `origins` maps `section.key` to where its value came from."""

    store: StoreSettings
    web: WebSettings
    collect: CollectSettings
    gadgets: GadgetSettings
    exports: ExportSettings
    log: LogSettings
    environments: tuple[Environment, ...]
    origins: Mapping[str, str]
    environments_origin: str = "default"

    @property
    def state_dir(self) -> Path:
        """The folder of spool files and control socket, as an absolute path."""
        return Path(self.store.state_dir)

    @property
    def import_dir(self) -> Path:
        """Where files lie that are on their way to an import."""
        return self.state_dir / "imports"

    @property
    def control_path(self) -> Path:
        """The collector's control socket."""
        return self.state_dir / "control.sock"


SECTIONS: Final[Mapping[str, type[Any]]] = {
    "store": StoreSettings,
    "web": WebSettings,
    "collect": CollectSettings,
    "gadgets": GadgetSettings,
    "exports": ExportSettings,
    "log": LogSettings,
}

_COMMAND: Final = {"ig": ("ig",), "kubectl-gadget": ("kubectl-gadget",)}
_ENVIRONMENT_FIELDS: Final = {f.name: f for f in fields(Environment)}


# ---------------------------------------------------------------- loading


def load(
    config: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return the effective settings.

    `config` is the TOML file (None: `IGDASH_CONFIG`, else none), `overrides` maps `section.key` to
    values of the command line, `environ` is the process environment unless given. Raises
    `SettingsError` naming the key and what is allowed.
    """
    variables = os.environ if environ is None else environ
    name = config or variables.get(PREFIX + "CONFIG")
    path = Path(name) if name else None
    document = _read_file(path) if path else {}
    origin = f"file {path}" if path else "default"
    _known("section", document, [*SECTIONS, "environments"], "the configuration file")
    raw: dict[str, tuple[Any, str]] = {}
    for section in SECTIONS:
        table = document.get(section, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{section}: must be a table, written [{section}]")
        raw |= {f"{section}.{key}": (value, origin) for key, value in table.items()}
    entries = document.get("environments", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingsError("environments: must be a list of tables, each written [[environments]]")
    entries = [dict(entry) for entry in entries]
    entries_origin = origin if entries else ""
    for key, value in _from_environ(variables):
        if key.startswith("environments."):
            _set_entry(entries, key, value)
            entries_origin = "environment variables"
        else:
            raw[key] = (value, f"environment {variable_of(key)}")
    raw |= {key: (value, "command line") for key, value in (overrides or {}).items()}
    _known("key", raw, all_keys())
    base = path.parent if path else Path()
    parsed = [_environment(entry, number, base) for number, entry in enumerate(entries)]
    _unique([environment.name for environment in parsed])
    origins = {key: raw[key][1] if key in raw else "default" for key in all_keys()}
    return Settings(
        store=_store(_section("store", raw), variables),
        web=_section("web", raw),
        collect=_section("collect", raw),
        gadgets=_section("gadgets", raw),
        exports=_section("exports", raw),
        log=_section("log", raw),
        environments=tuple(parsed) or found_environments(variables),
        origins=origins,
        environments_origin=entries_origin or "found in PATH",
    )


def all_keys() -> list[str]:
    """Return every `section.key`, in the order of the documentation."""
    return [f"{section}.{f.name}" for section, kind in SECTIONS.items() for f in fields(kind)]


def definition(key: str) -> Field[Any]:
    """Return the field of one `section.key`."""
    section, name = key.split(".", 1)
    return next(f for f in fields(SECTIONS[section]) if f.name == name)


def variable_of(key: str) -> str:
    """Return the environment variable of a `section.key`."""
    return PREFIX + key.replace(".", "__").upper()


def child_environ(overrides: Mapping[str, Any], config: str | None) -> dict[str, str]:
    """Return the environment for a child process that shall see the same settings.

    Values of the command line travel as variables, so that a password in `--store` does not show
    in the process list a second time.
    """
    extra = {variable_of(key): _as_text(value) for key, value in overrides.items()}
    if config:
        extra[PREFIX + "CONFIG"] = str(Path(config).absolute())
    return {**os.environ, "PYTHONUNBUFFERED": "1", **extra}


def found_environments(variables: Mapping[str, str] | None = None) -> tuple[Environment, ...]:
    """Return the environments that work without configuration: binaries that are in PATH."""
    path = (os.environ if variables is None else variables).get("PATH", os.defpath)
    found = []
    if sys.platform == "linux" and shutil.which("ig", path=path):
        found.append(
            Environment(
                name="this-host", kind=EnvironmentKind.IG, command=("ig",), args=("--host",)
            )
        )
    if shutil.which("kubectl-gadget", path=path):
        found.append(
            Environment(
                name="kubectl", kind=EnvironmentKind.KUBECTL_GADGET, command=("kubectl-gadget",)
            )
        )
    return tuple(found)


def data_home(variables: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the user's data, after the XDG rules."""
    return _xdg("XDG_DATA_HOME", ".local/share", variables)


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """Return key, value as text with secrets masked, and origin of every effective setting."""
    rows = [
        (key, masked(_as_text(_value(settings, key))), settings.origins[key]) for key in all_keys()
    ]
    for number, environment in enumerate(settings.environments):
        for key in ("name", "kind", *ENVIRONMENT_KEYS[environment.kind]):
            value = masked(_as_text(getattr(environment, key)))
            rows.append((f"environments.{number}.{key}", value, settings.environments_origin))
    return rows


# ---------------------------------------------------------------- parts of it


def _value(settings: Settings, key: str) -> Any:
    section, name = key.split(".", 1)
    return getattr(getattr(settings, section), name)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"configuration file {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"configuration file {path} is not valid TOML: {error}") from error


def _from_environ(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield `section.key` and text of our variables.

    Only names with a double underscore are ours: Kubernetes gives every pod variables such as
    IGDASH_SERVICE_HOST for a Service called igdash.
    """
    known = {variable_of(key): key for key in all_keys()}
    for name, text in sorted(variables.items()):
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        key = known.get(name)
        if key is None and name.startswith(PREFIX + "ENVIRONMENTS__"):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
        if key is None:
            raise SettingsError(f"unknown environment variable {name}{near(name, known)}")
        yield key, text


def _set_entry(entries: list[dict[str, Any]], key: str, text: str) -> None:
    """Apply `environments.N.name` of the environment variables to the list of entries."""
    parts = key.split(".")
    if len(parts) != 3 or not parts[1].isdecimal():
        raise SettingsError(
            f"{variable_of(key)}: must be {PREFIX}ENVIRONMENTS__N__KEY with N from 0"
        )
    number = int(parts[1])
    if number > len(entries):
        raise SettingsError(f"{variable_of(key)}: there is no environment {len(entries)} before it")
    if number == len(entries):
        entries.append({})
    entries[number][parts[2]] = text


def _section(section: str, raw: Mapping[str, tuple[Any, str]]) -> Any:
    kind = SECTIONS[section]
    values = {
        f.name: convert(
            f"{section}.{f.name}",
            raw[f"{section}.{f.name}"][0],
            like=f.default,
            limits=f.metadata["limits"],
        )
        for f in fields(kind)
        if f"{section}.{f.name}" in raw
    }
    return kind(**values)


def _environment(entry: Mapping[str, Any], number: int, base: Path) -> Environment:
    at = f"environments[{number}]"
    name, kind = entry.get("name"), str(entry.get("kind"))
    if not isinstance(name, str) or not name.strip():
        raise SettingsError(f"{at}.name: must be a text that is not empty")
    if kind not in ENVIRONMENT_KEYS:
        raise SettingsError(
            f"{at}.kind: must be one of {', '.join(ENVIRONMENT_KEYS)}, not {kind!r}"
            f"{near(kind, ENVIRONMENT_KEYS)}"
        )
    allowed = ["name", "kind", *ENVIRONMENT_KEYS[kind]]
    _known("key", entry, allowed, f"{at} (kind {kind})")
    values = {
        key: convert(
            f"{at}.{key}",
            value,
            like=_ENVIRONMENT_FIELDS[key].default,
            limits=Limits(low=0, high=1e6) if key == "speed" else ANY,
        )
        for key, value in entry.items()
        if key not in ("name", "kind")
    }
    made = Environment(
        name=name, kind=EnvironmentKind(kind), **({"command": _COMMAND.get(kind, ())} | values)
    )
    return completed(made, at, base)


def _unique(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"environments: the name {twice[0]!r} is used more than once")


def _store(store: StoreSettings, variables: Mapping[str, str]) -> StoreSettings:
    """Fill in the defaults that depend on others, and refuse a URL that no store understands."""
    url = store.url or f"sqlite:///{data_home(variables) / 'igdash' / 'igdash.db'}"
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        path = Path(rest.removeprefix("/")).expanduser().absolute()
        if not rest.startswith("/") or rest in ("/", "/:memory:") or "?" in rest:
            raise SettingsError(
                f"store.url: {url!r} names no file; write sqlite:////absolute/path.db"
            )
        url, default = f"sqlite:///{path}", path.with_suffix(".state")
    elif scheme in ("postgresql", "postgresql+psycopg"):
        _check_server(url)
        url = "postgresql+psycopg://" + rest
        default = _xdg("XDG_STATE_HOME", ".local/state", variables) / "igdash" / _short_id(url)
    else:
        raise SettingsError(
            f"store.url: must begin with sqlite:/// or postgresql+psycopg://, not {masked(url)!r}"
        )
    state_dir = Path(store.state_dir).expanduser() if store.state_dir else default
    return replace(store, url=url, state_dir=str(state_dir.absolute()))


def _check_server(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
        password = url.partition("://")[2].partition(":")[2]
        if password.partition("?")[0].count("@") > 1:  # its rest would be taken for a host
            raise ValueError("an @ in a password")
    except ValueError as error:
        # The error's own text may quote a part of the password.
        raise SettingsError(
            f"store.url: {masked(url)!r} is not a URL; special characters in a password are"
            " written %2F, %40 and so on"
        ) from error
    if not parts.path.strip("/"):
        raise SettingsError(f"store.url: {masked(url)!r} names no database; write …://user@host/db")


def _short_id(url: str) -> str:
    return hashlib.sha256(masked(url).encode()).hexdigest()[:12]


def _xdg(variable: str, below_home: str, variables: Mapping[str, str] | None) -> Path:
    found = (os.environ if variables is None else variables).get(variable, "")
    return Path(found) if Path(found).is_absolute() else Path.home() / below_home


def _known(what: str, given: Mapping[str, Any], allowed: Sequence[str], where: str = "") -> None:
    for name in given:
        if name not in allowed:
            place = f" in {where}" if where else ""
            raise SettingsError(
                f"unknown {what} {name!r}{place}{near(name, allowed)}; known: {', '.join(allowed)}"
            )
