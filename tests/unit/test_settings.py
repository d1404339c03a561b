"""Settings: strict, named in every error, their origin remembered, secrets masked, documented."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igdash import settings
from igdash.domain.environments import EnvironmentKind
from igdash.domain.errors import SettingsError

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
EMPTY = {"PATH": "", "HOME": "/nowhere"}
DAEMON = '[[environments]]\nname = "a"\nkind = "ig-daemon"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "igdash.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_nothing():
    found = settings.load(environ=EMPTY)
    assert found.web.host == "127.0.0.1"
    assert found.web.port == 8050
    assert found.store.url.startswith("sqlite:///")
    assert found.store.url.endswith("igdash/igdash.db")
    assert found.state_dir.name == "igdash.state"
    assert found.environments == ()
    assert set(found.origins.values()) == {"default"}


def test_command_line_beats_variable_beats_file(tmp_path: Path):
    path = write(tmp_path, '[web]\nport = 1\nhost = "::1"\nmax_sockets = 9\n')
    environ = {
        **EMPTY,
        "IGDASH_CONFIG": str(path),
        "IGDASH_WEB__PORT": "2",
        "IGDASH_WEB__HOST": "h",
    }
    found = settings.load(environ=environ, overrides={"web.port": "3"})
    assert (found.web.port, found.web.host, found.web.max_sockets) == (3, "h", 9)
    assert found.origins["web.port"] == "command line"
    assert found.origins["web.host"] == "environment IGDASH_WEB__HOST"
    assert found.origins["web.max_sockets"] == f"file {path}"
    assert found.origins["log.level"] == "default"


def test_every_setting_has_its_variable():
    for key in settings.all_keys():
        about = settings.definition(key)
        text = settings._as_text(about.default) or "sqlite:////x/y.db"
        if key == "web.allowed_hosts":
            text = "a,b"
        if key == "store.state_dir":
            text = "/x"
        found = settings.load(environ={**EMPTY, settings.variable_of(key): text})
        assert found.origins[key] == f"environment {settings.variable_of(key)}"


words = st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True)


@given(words)
def test_an_unknown_section_is_named(name: str):
    known = {*settings.SECTIONS, "environments"}
    if name in known:
        return
    with pytest.raises(SettingsError, match=re.escape(repr(name))):
        load_text(f"[{name}]\n")


@given(st.sampled_from(sorted(settings.SECTIONS)), words)
def test_an_unknown_key_is_named_in_file_and_variable(section: str, name: str):
    key = f"{section}.{name}"
    if key in settings.all_keys():
        return
    with pytest.raises(SettingsError, match=re.escape(repr(key))):
        load_text(f"[{section}]\n{name} = 1\n")
    variable = settings.variable_of(key)
    with pytest.raises(SettingsError, match=variable):
        settings.load(environ={**EMPTY, variable: "1"})
    with pytest.raises(SettingsError, match=re.escape(repr(key))):
        settings.load(environ=EMPTY, overrides={key: "1"})


@given(st.sampled_from(sorted(settings.ENVIRONMENT_KEYS)), words)
def test_an_unknown_key_of_an_environment_is_named(kind: str, name: str):
    if name in ("name", "kind", *settings.ENVIRONMENT_KEYS[kind]):
        return
    with pytest.raises(SettingsError, match=re.escape(repr(name))):
        load_text(f'[[environments]]\nname = "x"\nkind = "{kind}"\n{name} = 1\n')


def load_text(text: str) -> settings.Settings:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return settings.load(write(Path(folder), text), environ=EMPTY)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[web]\nport = "x"', "web.port: must be a whole number"),
        ("[web]\nport = 1.5", "web.port: must be a whole number"),
        ("[web]\nport = true", "web.port: must be a whole number"),
        ("[web]\nport = 70000", "web.port: must be from 0 to 65535"),
        ("[web]\nhost = 1", "web.host: must be text"),
        ("[web]\ninsecure_no_login = 1", "web.insecure_no_login: must be true or false"),
        ("[web]\nallowed_hosts = [1]", "web.allowed_hosts: must be a list of texts"),
        ('[log]\nlevel = "inf"', "log.level: must be one of debug, info, warning, error"),
        ('[log]\nlevel = "inf"', "did you mean info"),
        ("[collect]\nstop_timeout_s = nan", "collect.stop_timeout_s: must be from"),
        ("web = 1", "web: must be a table"),
        ("environments = 1", "environments: must be a list"),
        ("[web]\nprt = 1", "did you mean web.port"),
        ("x = ", "is not valid TOML"),
        ('[store]\nurl = "mysql://x/y"', "store.url: must begin with sqlite"),
        ('[store]\nurl = "sqlite://"', "store.url: .* names no file"),
        ('[store]\nurl = "sqlite:///:memory:"', "store.url: .* names no file"),
        ('[store]\nurl = "postgresql://host"', "store.url: .* names no database"),
        ('[store]\nurl = "postgresql://host:port/db"', "store.url: .* is not a URL"),
        ('[[environments]]\nkind = "ig"', r"environments\[0\].name: must be"),
        ('[[environments]]\nname = "a"', r"environments\[0\].kind: must be one of"),
        (
            '[[environments]]\nname = "a"\nkind = "kubernetes"\ngadget_namespace = ""',
            r"\[0\].gadget_namespace: must name",
        ),
        ('[[environments]]\nname = "a"\nkind = "ig-daemon"', r"\[0\].address: '' is no address"),
        (DAEMON + 'address = "http://h:1"', "such as unix:///var/run/ig/ig.socket or tcp://host"),
        (DAEMON + 'address = "tcp://h"', r"\[0\].address: 'tcp://h' is no address"),
        (DAEMON + 'address = "tcp://h:99999"', r"\[0\].address: 'tcp://h:99999' is no address"),
        (DAEMON + 'address = "unix://run/ig"', r"\[0\].address: 'unix://run/ig' is no address"),
        (DAEMON + 'address = "tcp://h:1"\ntls_ca = "c"', "tls_cert: must be given, too"),
        (DAEMON + 'address = "tcp://h:1"\ntls_server_name = "n"', "tls_ca: must be given, too"),
        (
            DAEMON + 'address = "unix:///s"\ntls_ca = "a"\ntls_cert = "b"\ntls_key = "c"',
            r"\[0\].tls_ca: is for tcp:// addresses",
        ),
        (DAEMON + 'address = "tcp://h:1"\nhost = 1', r"\[0\].host: must be true or false"),
        ('[[environments]]\nname = "a"\nkind = "replai"', "did you mean replay"),
        ('[[environments]]\nname = "a"\nkind = "replay"', r"\[0\].folder: must name"),
        ('[[environments]]\nname = "a"\nkind = "ig"\ncommand = []', r"\[0\].command: must name"),
        (
            '[[environments]]\nname = "a"\nkind = "replay"\nfolder = "f"\nspeed = -1',
            r"\[0\].speed: must be from 0",
        ),
        (
            '[[environments]]\nname = "a"\nkind = "ig"\n[[environments]]\nname = "a"\nkind = "ig"',
            "'a' is used more than once",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(text: str, wanted: str):
    with pytest.raises(SettingsError, match=wanted):
        load_text(text)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"nope\.toml: No such file"):
        settings.load(tmp_path / "nope.toml", environ=EMPTY)


def test_environments_from_the_file(tmp_path: Path):
    path = write(
        tmp_path,
        '[[environments]]\nname = "r"\nkind = "replay"\nfolder = "rec"\nspeed = 2\nloop = false\n'
        '[[environments]]\nname = "host"\nkind = "ig"\ncommand = ["sudo", "-n", "ig"]\n'
        '[[environments]]\nname = "k"\nkind = "kubectl-gadget"\n',
    )
    replay, host, cluster = settings.load(path, environ=EMPTY).environments
    assert replay.folder == str(tmp_path / "rec")
    assert (replay.speed, replay.loop) == (2.0, False)
    assert host.command == ("sudo", "-n", "ig")
    assert cluster.command == ("kubectl-gadget",)


def test_a_daemon_from_the_file(tmp_path: Path):
    path = write(
        tmp_path,
        DAEMON + 'address = "tcp://[::1]:8080"\ntls_ca = "ca.pem"\ntls_cert = "/c.pem"\n'
        'tls_key = "~/k.pem"\ntls_server_name = "ig"\nhost = false\n',
    )
    (found,) = settings.load(path, environ=EMPTY).environments
    assert (found.kind, found.address) == (EnvironmentKind.IG_DAEMON, "tcp://[::1]:8080")
    assert found.tls_ca == str(tmp_path / "ca.pem")
    assert (found.tls_cert, found.tls_key) == ("/c.pem", str(Path("~/k.pem").expanduser()))
    assert (found.tls_server_name, found.host) == ("ig", False)


def test_a_cluster_from_the_file(tmp_path: Path):
    text = '[[environments]]\nname = "a"\nkind = "kubernetes"\n'
    (found,) = settings.load(write(tmp_path, text), environ=EMPTY).environments
    assert (found.kind, found.kubeconfig, found.context) == (EnvironmentKind.KUBERNETES, "", "")
    text += 'kubeconfig = "kube/config"\ncontext = "prod"\ngadget_namespace = "ig"\n'
    (found,) = settings.load(write(tmp_path, text), environ=EMPTY).environments
    assert found.kubeconfig == str(tmp_path / "kube" / "config")
    assert (found.context, found.gadget_namespace) == ("prod", "ig")


def test_environments_from_variables(tmp_path: Path):
    path = write(tmp_path, '[[environments]]\nname = "host"\nkind = "ig"\n')
    environ = {
        **EMPTY,
        "IGDASH_ENVIRONMENTS__0__COMMAND": "sudo,-n,ig",
        "IGDASH_ENVIRONMENTS__1__NAME": "r",
        "IGDASH_ENVIRONMENTS__1__KIND": "replay",
        "IGDASH_ENVIRONMENTS__1__FOLDER": "/rec",
    }
    host, replay = settings.load(path, environ=environ).environments
    assert host.command == ("sudo", "-n", "ig")
    assert (replay.kind, replay.folder) == (EnvironmentKind.REPLAY, "/rec")
    with pytest.raises(SettingsError, match="there is no environment 0 before it"):
        settings.load(environ={**EMPTY, "IGDASH_ENVIRONMENTS__1__NAME": "r"})
    with pytest.raises(SettingsError, match="ENVIRONMENTS__N__KEY"):
        settings.load(environ={**EMPTY, "IGDASH_ENVIRONMENTS__X__NAME": "r"})


def test_variables_that_kubernetes_gives_to_pods_are_not_ours():
    environ = {**EMPTY, "IGDASH_PORT": "tcp://10.0.0.1:80", "IGDASH_WEB_PORT": "tcp://10.0.0.1:80"}
    assert settings.load(environ=environ).web.port == 8050


def test_environments_are_found_in_path(tmp_path: Path):
    for name in ("ig", "kubectl-gadget"):
        path = tmp_path / name
        path.write_text("#!/bin/sh\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    found = settings.load(environ={**EMPTY, "PATH": str(tmp_path)}).environments
    assert [(e.name, e.kind.value, e.args) for e in found] == [
        ("this-host", "ig", ("--host",)),
        ("kubectl", "kubectl-gadget", ()),
    ]


def test_secrets_are_masked():
    url = "postgresql://me:s3cret@db.example/igdash"
    found = settings.load(environ={**EMPTY, "IGDASH_STORE__URL": url})
    assert found.store.url == "postgresql+psycopg://me:s3cret@db.example/igdash"
    text = str(settings.shown(found))
    assert "s3cret" not in text
    assert "me:***@db.example" in text
    for wrong in (
        "mysql://me:s3cret@x/y",
        "postgresql://me:s3cret/s3cret@h/d",
        "postgresql://me:s3cret@h",
        "postgresql://me:p@s3cret@h/d",
        "postgresql://me:p@s3cret/x@h/d",
    ):
        with pytest.raises(SettingsError) as caught:
            settings.load(environ={**EMPTY, "IGDASH_STORE__URL": wrong})
        assert "s3cret" not in str(caught.value)


def test_state_of_a_server_store_does_not_depend_on_the_password():
    def state(url: str) -> Path:
        return settings.load(environ={**EMPTY, "IGDASH_STORE__URL": url}).state_dir

    assert state("postgresql://a:1@h/d") == state("postgresql+psycopg://a:2@h/d")
    assert state("postgresql://a:1@h/d") != state("postgresql://a:1@h/e")


def test_two_databases_in_one_folder_do_not_share_their_state(tmp_path: Path):
    def state(name: str) -> Path:
        url = f"sqlite:///{tmp_path}/{name}"
        return settings.load(environ={**EMPTY, "IGDASH_STORE__URL": url}).state_dir

    assert state("a.db") != state("b.db")


def test_children_see_the_same_settings(tmp_path: Path):
    path = write(tmp_path, "[web]\nmax_sockets = 9\n")
    given = {"web.port": "3", "web.insecure_no_login": True, "store.url": "sqlite:////x/y.db"}
    environ = settings.child_environ(given, str(path))
    found = settings.load(
        environ={"PATH": "", **{k: v for k, v in environ.items() if "IGDASH" in k}}
    )
    assert (found.web.port, found.web.insecure_no_login, found.web.max_sockets) == (3, True, 9)
    assert found.store.url == "sqlite:////x/y.db"


def test_every_setting_is_documented_with_default_unit_and_help():
    text = DOCS.read_text(encoding="utf-8")
    for key in settings.all_keys():
        about = settings.definition(key)
        row = next((line for line in text.splitlines() if line.startswith(f"| `{key}` ")), "")
        assert row, f"{key} is missing in docs/configuration.md"
        assert about.metadata["help"] in row
        assert f"`{settings._as_text(about.default)}`" in row or about.default in ("", ())
        assert about.metadata["unit"] in row
    for kind, names in settings.ENVIRONMENT_KEYS.items():
        assert f'### `kind = "{kind}"`' in text
        section = text.split(f'### `kind = "{kind}"`')[1].split("\n### ")[0]
        for name, help_text in names.items():
            assert any(
                line.startswith(f"| `{name}` ") and help_text in line
                for line in section.splitlines()
            ), f"{name} of {kind} is missing"
    for documented in re.findall(r"^\| `([a-z]+\.[a-z_]+)` ", text, re.MULTILINE):
        assert documented in settings.all_keys()


def test_the_example_in_the_documentation_is_accepted(tmp_path: Path):
    examples = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        settings.load(write(tmp_path, example), environ=EMPTY)
