"""Settings: what is found, what is refused and in which words, and what comes out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.config import Settings, Target, find, load, load_settings
from deploy.config.keys import FILE, SECTIONS, TARGET
from deploy.errors import ConfigError

BASE = 'app = "shop"\nhost = "deploy@server.example.org"\npath = "/srv/shop"\n'
DOC = Path(__file__).parent.parent / "docs" / "configuration.md"
SECRET = "hunter2secret"


def write(folder: Path, text: str, name: str = "deploy.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, target: str | None = None, **options: Any) -> Target:
    write(folder, text)
    return load(folder, target=target, host=options.get("host"), environ=options.get("environ", {}))


def refused(folder: Path, text: str, target: str | None = None, **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, target, **options)
    return caught.value


# (settings after the three lines of BASE, path to the key, a piece of what is said)
WRONG = [
    # types are strict
    ("keep = true", "keep", "whole number"),
    ('keep = "5"', "keep", "whole number"),
    ("keep = 5.0", "keep", "whole number"),
    ("keep = 0", "keep", "1 or more"),
    ("keep = 99999999999999999999999999999", "keep", "100000 or less"),
    ("branch = 1", "branch", "string"),
    ("branch = 2026-11-22", "branch", "string"),
    ('forward_agent = "yes"', "forward_agent", "true or false"),
    ("forward_agent = 1", "forward_agent", "true or false"),
    ('engine = "docker"', "engine", "'compose' or 'venv'"),
    ("engine = 1", "engine", "'compose' or 'venv'"),
    ("compose = 1", "compose", "table"),
    ("[[compose]]", "compose", "table"),
    ("targets = 1", "targets", "table"),
    ("[targets]\nproduction = 1", "targets.production", "table"),
    ("[build]\ncache = 1", "build.cache", "true or false"),
    ("[migrate]\nenabled = 1", "migrate.enabled", "true or false"),
    ("[backup]\nmode = false", "backup.mode", 'mode = "off"'),
    ("[logs]\nlines = 0", "logs.lines", "1 or more"),
    # unknown and misplaced keys
    ("brunch = 1", "brunch", "`branch`"),
    ("zzz = 1", "zzz", "Known here: branch"),
    ('"a b" = 1', '"a b"', "Known here"),
    ('"\\u001b[31m" = 1', '"\\u001b[31m"', "Known here"),
    ('services = ["a"]', "services", "belongs into [compose]"),
    ('enabled = "a"', "enabled", "belongs into [migrate]"),
    ("lines = 1\nservices = 2", "lines", "belongs into [logs]"),
    ('[build]\nservices = ["a"]', "build.services", "belongs into [compose]"),
    (
        '[compose]\nservice = "a"',
        "compose.service",
        "Did you mean `services`? `service` belongs into [migrate]",
    ),
    ('[compose]\nbranch = "main"', "compose.branch", "before the first [section]"),
    ('[targets.a.compose]\nbranch = "x"', "targets.a.compose.branch", "into [targets.a], outside"),
    ('[targets.a]\nservices = ["x"]', "targets.a.services", "into [targets.a.compose]"),
    ('[targets.a]\nledger = "x"', "targets.a.ledger", "same for all targets"),
    ("[targets.a.compose]\nfile = []", "targets.a.compose.file", "`files`"),
    ("[targets.a.zzz]", "targets.a.zzz", "Known here"),
    ("[target.production]", "target", "[targets.NAME]"),
    # targets
    ("[targets]", "targets", "[targets.production]"),
    ('[targets."Big One"]', 'targets."Big One"', "short name"),
    ('target = "staging"', "target", "Targets: production"),
    ("[targets.a]\n[targets.b]", "", "none was chosen: a, b"),
    ('[targets.a]\nkeep = "1"', "targets.a.keep", "whole number"),
    # git names
    *[
        (f"branch = {name!r}", "branch", "git allows")
        for name in [
            *[
                "",
                "-f",
                "a..b",
                "a b",
                "a~",
                "a^",
                "a:b",
                "a?",
                "a*",
                "a[b",
                "a\\b",
                "a.lock",
                "x.lock/a",
                "a/",
            ],
            *["/a", "a//b", ".a", "a/.b", "a.", "a@{1}", "@", "HEAD", "a\u00a0b"],
        ]
    ],
    ('branch = "a\\u0007"', "branch", "git allows"),
    ('branch = "a\\n"', "branch", "git allows"),
    ('remote = "--upload-pack=x"', "remote", "git allows"),
    # paths
    ('state = "records"', "state", "absolute path"),
    ('state = "~bob/x"', "state", "absolute path"),
    ('state = "/srv/shop/.state"', "state", "inside `path`"),
    ('state = "/srv/x/../shop"', "state", "inside `path`"),
    ('identity = "a\\nb"', "identity", "line end"),
    ('identity = "~nobody-of-that-name/key"', "identity", "not on this machine"),
    ('known_hosts = "a\\u0000b"', "known_hosts", "NUL"),
    # durations
    *[
        (f"connect_timeout = {value}", "connect_timeout", '"90s", "15m", "1h"')
        for value in [
            '"90"',
            '""',
            '"1y"',
            '"5m1h"',
            '"-5s"',
            '"1.5h"',
            '"5 m"',
            '"٣s"',
            "true",
            "[1]",
            "07:30:00",
        ]
    ],
    ("connect_timeout = 0", "connect_timeout", "longer than 0"),
    ('connect_timeout = "0s"', "connect_timeout", "longer than 0"),
    ("connect_timeout = -1", "connect_timeout", "between"),
    ("connect_timeout = nan", "connect_timeout", "between"),
    ("connect_timeout = inf", "connect_timeout", "between"),
    ('connect_timeout = "999999h"', "connect_timeout", "between"),
    (f"connect_timeout = {'9' * 400}", "connect_timeout", "between"),
    ("[health]\nsettle = -1", "health.settle", "between"),
    ('[migrate]\ntimeout = "soon"', "migrate.timeout", "length of time"),
    # the ledger
    ('ledger = "ledger.db"', "ledger", "database URL"),
    ("ledger = 1", "ledger", "string"),
    # compose
    ('[compose]\ncommand = "docker"', "compose.command", "must end in"),
    ('[compose]\ncommand = "podman compose"', "compose.command", "must end in"),
    ('[compose]\ncommand = "compose"', "compose.command", "must end in"),
    ('[compose]\ncommand = "docker compose up"', "compose.command", "must end in"),
    ('[compose]\ncommand = "docker /x/compose"', "compose.command", "must end in"),
    ('[compose]\ncommand = "~/bin/docker-compose"', "compose.command", "whole path"),
    ('[compose]\ncommand = "cd /x && docker compose"', "compose.command", "no shell line"),
    ('[compose]\ncommand = "docker \'compose"', "compose.command", "not closed"),
    ("[compose]\ncommand = 1", "compose.command", "a string, or a list"),
    ('[compose]\nfiles = "compose.yml"', "compose.files", "list"),
    ('[compose]\nfiles = ["a.yml", 1]', "compose.files[1]", "string"),
    ('[compose]\nfiles = ["a.yml", "/b.yml"]', "compose.files[1]", "relative path"),
    ('[compose]\nfiles = ["../a.yml"]', "compose.files[0]", "relative path"),
    ('[compose]\nfiles = ["-"]', "compose.files[0]", "relative path"),
    ('[compose]\nfiles = ["a", "a"]', "compose.files", "twice"),
    (
        '[targets.production.compose]\nfiles = ["a", ""]',
        "targets.production.compose.files[1]",
        "relative path",
    ),
    ("[compose]\nservices = []", "compose.services", "at least one"),
    ('[compose]\nservices = ["a", "a"]', "compose.services", "twice"),
    ('[compose]\nservices = ["-a"]', "compose.services[0]", "name"),
    ('[compose]\nservices = ["a\\n"]', "compose.services[0]", "name"),
    ('[compose]\nprofiles = ["*"]', "compose.profiles[0]", "name"),
    ('[compose]\nproject = "Shop"', "compose.project", "small letters"),
    # migrate
    ('[migrate]\nservice = ""', "migrate.service", "name"),
    ('[migrate]\ncommand = "cd backend && alembic upgrade head"', "migrate.command", "workdir"),
    ('[migrate]\ncommand = "a; b"', "migrate.command", "no shell line"),
    ('[migrate]\ncommand = ["alembic", 1]', "migrate.command[1]", "string"),
    ('[migrate]\ncommand = ["", "a"]', "migrate.command", "program"),
    ('[migrate]\ncommand = ["-x"]', "migrate.command", "program"),
    ('[migrate]\ncommand = ["a\\u0000"]', "migrate.command", "NUL"),
    ('[migrate]\nworkdir = "-x"', "migrate.workdir", "inside the container"),
    # backup
    *[
        (f'[backup]\nmode = "{m}"', "backup.mode", '"auto", "off"')
        for m in ["Off", "atuo", "none", "no", "AUTO"]
    ],
    ('[backup]\nmode = " "', "backup.mode", "shell command"),
    # health
    *[
        (f'[health]\nurl = "{url}"', "health.url", "http or https")
        for url in [
            "localhost:8000",
            "ftp://a",
            "http://",
            "http://a:b/",
            "http://[::1/",
            "http://a b/",
            "http://a:0",
        ]
    ],
    # venv
    ('engine = "venv"', "venv.restart", "required"),
    ('engine = "venv"\n[targets.a]', "targets.a.venv.restart", "required"),
    ('[venv]\nfolder = "."', "venv.folder", "below"),
    ('[venv]\nfolder = "./"', "venv.folder", "below"),
    ('[venv]\nfolder = "a/../.."', "venv.folder", "relative path"),
    ('[venv]\nrequirements = ""', "venv.requirements", "relative path"),
    ('[venv]\nworkdir = "/x"', "venv.workdir", "relative path"),
    ('[venv]\npython = "python3 -E"', "venv.python", "program"),
    ('[venv]\npython = "bin/python"', "venv.python", "absolute"),
    ('[venv]\nrestart = "  "', "venv.restart", "shell command"),
]


@pytest.mark.parametrize(("text", "key", "said"), WRONG)
def test_a_wrong_setting_is_told_with_its_path(tmp_path: Path, text: str, key: str, said: str) -> None:
    error = refused(tmp_path, BASE + text)
    assert error.key == key
    assert said in f"{error.problem} {error.hint}"
    assert error.file == str(tmp_path / "deploy.toml")
    assert error.exit_code == 2


@pytest.mark.parametrize(("text", "key", "said"), [(t, k, s) for t, k, s in WRONG if k])
def test_pyproject_errors_name_the_table(tmp_path: Path, text: str, key: str, said: str) -> None:
    lines = [re.sub(r"^(\[+)", r"\1tool.backstay.", line) for line in (BASE + text).split("\n")]
    write(tmp_path, "[tool.backstay]\n" + "\n".join(lines), "pyproject.toml")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, target=None, host=None, environ={})
    assert caught.value.key == f"tool.backstay.{key}"
    assert caught.value.file == str(tmp_path / "pyproject.toml")


WRONG_HOSTS = [
    ("", "no host"),
    ("-oProxyCommand=x", "no host"),
    ("a@-oProxyCommand=x", "no host"),
    ("-l@host", "user name"),
    ("@host", "user name"),
    ("user@", "no host"),
    ("a b", "no host"),
    ("a\tb", "no host"),
    ("host\n", "no host"),
    ("host\u202e", "no host"),
    ("a;b", "no host"),
    ("$(x)", "no host"),
    ("a,b", "no host"),
    ("*.example.org", "no host"),
    ("host:", "port"),
    ("host:0", "port"),
    ("host:65536", "port"),
    ("host:ssh", "port"),
    ("host:٢٢", "port"),
    ("2001:db8::1", "brackets"),
    ("[2001:db8::1", "bracket"),
    ("[2001:db8::1]22", "bracket"),
    ("[example.org]:22", "no IPv6"),
    ("[fe80::1%a;b]", "interface"),
    ("ssh://user@host", "no URL"),
    (f"user:{SECRET}@host", "password"),
    (f"user:{SECRET}@host:22", "password"),
]


@pytest.mark.parametrize(("host", "said"), WRONG_HOSTS)
def test_a_wrong_host_is_refused_in_the_file_and_as_option(tmp_path: Path, host: str, said: str) -> None:
    quoted = "".join(f"\\U{ord(character):08x}" for character in host)
    text = f'app = "shop"\npath = "/srv"\nhost = "{quoted}"'
    error = refused(tmp_path, text)
    assert (error.key, said in error.message + error.hint) == ("host", True)
    option = refused(tmp_path, BASE, host=host)
    assert (option.key, said in option.message + option.hint) == ("host", True)
    assert "-H" in option.message
    assert SECRET not in f"{error}{error.hint}{option}{option.hint}"


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("staging", ("", "staging", None, "staging")),
        ("deploy@server.example.org", ("deploy", "server.example.org", None, "deploy@server.example.org")),
        ("deploy@203.0.113.7:2222", ("deploy", "203.0.113.7", 2222, "deploy@203.0.113.7")),
        ("me@corp.example@jump", ("me@corp.example", "jump", None, "me@corp.example@jump")),
        ("[2001:db8::1]", ("", "2001:db8::1", None, "2001:db8::1")),
        ("root@[fe80::1%eth0]:22", ("root", "fe80::1%eth0", 22, "root@fe80::1%eth0")),
    ],
)
def test_a_host_is_taken_apart(tmp_path: Path, host: str, parts: tuple[object, ...]) -> None:
    for target in (
        loaded(tmp_path, f'app = "shop"\npath = "/srv"\nhost = "{host}"'),
        loaded(tmp_path, BASE, host=host),
    ):
        assert (target.user, target.host, target.port, target.destination) == parts


def test_three_lines_are_enough(tmp_path: Path) -> None:
    target = loaded(tmp_path, BASE)
    assert (target.name, target.app, target.path, target.branch) == (
        "production",
        "shop",
        "/srv/shop",
        "main",
    )
    assert target.state == "~/.local/state/backstay/shop"
    assert target.config_file == tmp_path / "deploy.toml"
    assert target.compose.services == ("backend",)
    assert (target.migrate.timeout, target.health.settle, target.forward_agent) == (900, 5, None)


@pytest.mark.parametrize("key", ["app", "host", "path"])
def test_what_is_required_is_asked_for(tmp_path: Path, key: str) -> None:
    text = "".join(line for line in BASE.splitlines(True) if not line.startswith(key))
    error = refused(tmp_path, text)
    assert (error.key, error.problem) == (key, "is required")
    assert f"{key} = " in error.hint


@pytest.mark.parametrize("app", ["", "Shop", ".a", "-a", "a/b", "a b", "a\\n", "a" * 64])
def test_an_app_is_a_slug(tmp_path: Path, app: str) -> None:
    assert refused(tmp_path, BASE.replace("shop", app, 1)).key == "app"


@pytest.mark.parametrize("path", ["", "srv", "~", "~/", "~bob/x", "../x", "/a\\nb", "/a\\u0000"])
def test_a_path_is_absolute_or_below_home(tmp_path: Path, path: str) -> None:
    assert refused(tmp_path, BASE.replace("/srv/shop", path)).key == "path"


@pytest.mark.parametrize("path", ["/srv/my shop", "~/shop", "/a'b\"c$d`e;f*é", "/-x", "/a\tb"])
def test_a_path_is_kept_as_it_is(tmp_path: Path, path: str) -> None:
    text = BASE.replace('"/srv/shop"', f"'''{path}'''")
    assert loaded(tmp_path, text).path == path


def test_a_misspelled_key_is_said_before_a_missing_one(tmp_path: Path) -> None:
    error = refused(tmp_path, BASE.replace("app", "appp"))
    assert (error.key, "`app`" in error.hint) == ("appp", True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('"90s"', 90),
        ('"15m"', 900),
        ('"1h"', 3600),
        ('"1h30m"', 5400),
        ('"1h1s"', 3601),
        ("7", 7),
        ("2.5", 2.5),
    ],
)
def test_durations_become_seconds(tmp_path: Path, text: str, seconds: float) -> None:
    assert loaded(tmp_path, f"{BASE}connect_timeout = {text}").connect_timeout == seconds


def test_whole_seconds_are_whole_numbers(tmp_path: Path) -> None:
    target = loaded(tmp_path, BASE + "connect_timeout = 3.0\n[health]\nsettle = 0")
    assert (repr(target.connect_timeout), repr(target.health.settle)) == ("3", "0")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('""', ()),
        ('"docker compose"', ("docker", "compose")),
        ('"docker-compose"', ("docker-compose",)),
        ('"sudo -n docker compose"', ("sudo", "-n", "docker", "compose")),
        ('"/usr/local/bin/docker-compose"', ("/usr/local/bin/docker-compose",)),
        ("\"'/opt/my tools/docker' compose\"", ("/opt/my tools/docker", "compose")),
    ],
)
def test_compose_command_becomes_words(tmp_path: Path, command: str, words: tuple[str, ...]) -> None:
    assert loaded(tmp_path, f"{BASE}[compose]\ncommand = {command}").compose.command == words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('"alembic upgrade head"', ("alembic", "upgrade", "head")),
        ('["sh", "-c", "a && b", ""]', ("sh", "-c", "a && b", "")),
        ("\"sh -c 'a && b'\"", ("sh", "-c", "a && b")),
    ],
)
def test_migrate_command_becomes_words(tmp_path: Path, command: str, words: tuple[str, ...]) -> None:
    assert loaded(tmp_path, f"{BASE}[migrate]\ncommand = {command}").migrate.command == words


def test_shell_commands_stay_as_they_are(tmp_path: Path) -> None:
    text = f'{BASE}engine = "venv"\n[venv]\nrestart = " a && b "\n[backup]\nmode = "pg_dump x > y"'
    target = loaded(tmp_path, text)
    assert (target.venv.restart, target.backup.mode) == (" a && b ", "pg_dump x > y")


def test_laptop_paths_are_found_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    (tmp_path / "below").mkdir()
    write(tmp_path, BASE + 'identity = "keys/../id"\nknown_hosts = "~/hosts"')
    target = load(tmp_path / "below", target=None, host=None, environ={})
    assert (target.identity, target.known_hosts) == (str(tmp_path / "id"), "/home/ann/hosts")


TWO = """
app = "shop"
path = "/srv/shop"
branch = "trunk"
[compose]
files = ["a.yml"]
services = ["web"]
[targets.production]
host = "one"
[targets.staging]
host = "two"
branch = "next"
[targets.staging.compose]
services = ["web", "worker"]
"""


def test_a_target_overrides_key_by_key(tmp_path: Path) -> None:
    production, staging = (loaded(tmp_path, TWO, name) for name in ("production", "staging"))
    assert (production.branch, staging.branch) == ("trunk", "next")
    assert (production.compose.services, staging.compose.services) == (("web",), ("web", "worker"))
    assert (production.compose.files, staging.compose.files) == (("a.yml",), ("a.yml",))


def test_a_target_can_set_a_key_back_to_its_default(tmp_path: Path) -> None:
    text = TWO + '[targets.staging.migrate]\nservice = "db-migrate"\n[migrate]\nservice = "web"'
    assert loaded(tmp_path, text, "staging").migrate.service == "db-migrate"
    assert loaded(tmp_path, text, "production").migrate.service == "web"


@pytest.mark.parametrize(
    ("target", "variable", "key", "picked"),
    [
        ("staging", "production", "production", "staging"),
        (None, "staging", "production", "staging"),
        (None, "", "staging", "staging"),
        (None, None, "staging", "staging"),
    ],
)
def test_who_picks_the_target(
    tmp_path: Path, target: str | None, variable: str | None, key: str, picked: str
) -> None:
    environ = {} if variable is None else {"BACKSTAY_TARGET": variable}
    assert loaded(tmp_path, f'target = "{key}"\n{TWO}', target, environ=environ).name == picked


def test_the_only_target_is_picked(tmp_path: Path) -> None:
    assert loaded(tmp_path, BASE + "[targets.blue]").name == "blue"


@pytest.mark.parametrize(
    ("target", "environ", "said"),
    [
        ("stagin", {}, "Did you mean staging?"),
        ("zzz", {}, "production, staging"),
        ("", {}, "--target"),
        (None, {"BACKSTAY_TARGET": "zzz"}, "BACKSTAY_TARGET"),
    ],
)
def test_a_target_that_is_not_there(
    tmp_path: Path, target: str | None, environ: dict[str, str], said: str
) -> None:
    error = refused(tmp_path, TWO, target, environ=environ)
    assert error.key == "targets"
    assert said in f"{error.problem} {error.hint}"


def test_a_host_option_does_for_a_missing_host(tmp_path: Path) -> None:
    target = loaded(tmp_path, 'app = "a"\npath = "/srv"', host="root@other:2")
    assert (target.user, target.host, target.port) == ("root", "other", 2)


def test_a_host_option_replaces_user_and_port(tmp_path: Path) -> None:
    target = loaded(tmp_path, BASE, host="other")
    assert (target.user, target.host, target.port) == ("", "other", None)


def test_an_error_in_another_target_is_told_too(tmp_path: Path) -> None:
    assert refused(tmp_path, TWO + 'timeout = "x"', "production").key == "targets.staging.compose.timeout"


def test_two_checkouts_do_not_share_records(tmp_path: Path) -> None:
    text = 'app = "a"\nhost = "h"\n[targets.a]\npath = "/a"\n[targets.b]\npath = "/b"\n'
    error = refused(tmp_path, text, "a")
    assert (error.key, "a-b" in error.hint) == ("targets.b.state", True)
    assert loaded(tmp_path, text + 'state = "/var/b"', "b").state == "/var/b"
    assert loaded(tmp_path, text + 'host = "other"', "b").path == "/b"
    assert loaded(tmp_path, text.replace('"/b"', '"/a/"'), "b").path == "/a/"


def test_names_in_the_order_of_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, TWO))
    assert isinstance(settings, Settings)
    assert settings.target_names == ("production", "staging")
    assert load_settings(write(tmp_path, BASE)).target_names == ("production",)


def test_a_target_is_frozen_and_hashable(tmp_path: Path) -> None:
    target = loaded(tmp_path, BASE)
    with pytest.raises(AttributeError):
        target.branch = "x"
    with pytest.raises(AttributeError):
        target.compose.project = "x"
    assert hash(target) == hash(loaded(tmp_path, BASE))


# Each text holds the secret; none may give it away, whatever is wrong.
@pytest.mark.parametrize(
    "text",
    [
        f'ledger = "postgresql://user:{SECRET}@db"\nkeep = 0',
        f'ledger = "user:{SECRET}@db x"',
        f'ledger = ["{SECRET}"]',
        f"ledger = postgresql://user:{SECRET}@db",
        f'[health]\nurl = "http://user:{SECRET}@127.0.0.1/"',
        f'[venv]\nrestart = 1\nstop = "curl {SECRET}"',
        f'[compose]\ncommand = "env X={SECRET} podman"',
        f'[migrate]\ncommand = ["{SECRET}", 1]',
        f'engine = "{SECRET}"',
        f'branch = " {SECRET}"',
    ],
)
def test_no_error_tells_a_secret(tmp_path: Path, text: str) -> None:
    error = refused(tmp_path, BASE + text)
    assert SECRET not in f"{error}{error!r}{error.hint}"
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_no_repr_tells_the_ledger(tmp_path: Path) -> None:
    path = write(tmp_path, f'{BASE}ledger = "postgresql://user:{SECRET}@db"')
    target = load(tmp_path, target=None, host=None, environ={})
    assert SECRET in target.ledger
    assert SECRET not in f"{target!r}{target}{load_settings(path)!r}"


# Finding the file


def test_the_nearest_file_wins_and_deploy_toml_before_pyproject(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    top = write(tmp_path, BASE)
    assert find(below) == top
    write(below.parent, "[project]\nname = 'backstay'", "pyproject.toml")
    write(below, "not toml at all", "pyproject.toml")
    assert find(below) == top
    middle = write(below.parent, f"[tool.backstay]\n{BASE}", "pyproject.toml")
    assert find(below) == middle
    own = write(below.parent, BASE)
    assert find(below) == own


def test_pyproject_is_read(tmp_path: Path) -> None:
    write(tmp_path, f"[tool.backstay]\n{BASE}", "pyproject.toml")
    assert load(tmp_path, target=None, host=None, environ={}).app == "shop"


def test_no_file_shows_three_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find(tmp_path)
    assert caught.value.file == str(tmp_path)
    assert tomllib.loads(caught.value.hint.partition("\n\n")[2]).keys() == {"app", "host", "path"}


@pytest.mark.parametrize("start", ["a\0b", "loop"])
def test_a_start_that_cannot_be_found(tmp_path: Path, start: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError):
        find(tmp_path / start)


@pytest.mark.parametrize("name", ["deploy.toml", "pyproject.toml"])
def test_a_folder_in_place_of_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match="not a file"):
        load(tmp_path, target=None, host=None, environ={})


def test_a_pipe_in_place_of_the_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "deploy.toml")
    with pytest.raises(ConfigError, match="not a file"):
        load(tmp_path, target=None, host=None, environ={})


def test_a_dangling_link_hides_no_file_above(tmp_path: Path) -> None:
    write(tmp_path, BASE)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deploy.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "below", target=None, host=None, environ={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, BASE).chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load(tmp_path, target=None, host=None, environ={})


def test_a_name_too_long_for_the_system(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / ("x" * 5000))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = = 2\n", "line 2, column 5: this is not TOML"),
        ("a = 1\na = 2\n", "line 2, column 6: a key or table that stands there twice"),
        ("[a]\n[b]\n[a]\n", "line 3, column 3: a key or table that stands there twice"),
        ('a = """\n\n', "line 3: this is not TOML"),
        ("a = " + "[" * 5000, "too large"),
        ("a = " + "9" * 5000, "too large"),
    ],
)
def test_toml_errors_name_the_line(tmp_path: Path, text: str, said: str) -> None:
    error = refused(tmp_path, text)
    assert said in error.problem
    assert error.file == str(tmp_path / "deploy.toml")


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_bytes(BASE.encode() + b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="line 4: not UTF-8"):
        load(tmp_path, target=None, host=None, environ={})


def test_a_file_from_windows(tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load(tmp_path, target=None, host=None, environ={}).app == "shop"


def test_pyproject_without_our_table_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such table"):
        load_settings(write(tmp_path, "[project]\n", "pyproject.toml"))


# Any junk


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        [
            *[
                "",
                "a",
                "-x",
                "[::1]:22",
                "[::1%",
                "a@b:1",
                "http://[",
                "http://a:99999999",
                "1h",
                "'",
                "docker compose",
            ],
            *["venv", "off", "/srv", "~/x", "~", "..", "main", "sqlite://", "production", "\x00"],
        ]
    ),
)
SCALARS = st.one_of(
    TEXTS,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.just(10**400),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ALL_KEYS = sorted({*FILE, *(key for keys in SECTIONS.values() for key in keys)})
SECTION = st.dictionaries(st.sampled_from(ALL_KEYS) | TEXTS, VALUES, max_size=3)
TABLE = st.dictionaries(st.sampled_from(ALL_KEYS) | TEXTS, VALUES | SECTION, max_size=4)
PLACES = [("", key) for key in TARGET] + [(section, key) for section in SECTIONS for key in SECTIONS[section]]


def one_odd_value(place: tuple[str, str], value: object) -> dict[str, Any]:
    """Settings that are right but for one known key, which holds any text or list of texts."""
    section, key = place
    return {"app": "a", "host": "h", "path": "/p", **({section: {key: value}} if section else {key: value})}


JUNK = st.one_of(
    TABLE,
    st.builds(one_odd_value, st.sampled_from(PLACES), TEXTS | st.lists(TEXTS, max_size=3) | SCALARS),
    st.builds(
        lambda table, targets: {"app": "a", "host": "h", "path": "/p", **table, **targets},
        TABLE,
        st.just({}) | st.fixed_dictionaries({"targets": st.dictionaries(TEXTS, TABLE, max_size=2)}),
    ),
)


def toml(value: object) -> str:
    """Any value as TOML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return str(value)


@given(junk=JUNK, target=st.none() | TEXTS, host=st.none() | TEXTS, variable=TEXTS)
def test_junk_gives_a_target_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory,
    junk: dict[str, Any],
    target: str | None,
    host: str | None,
    variable: str,
) -> None:
    folder = tmp_path_factory.getbasetemp() / "junk"
    folder.mkdir(exist_ok=True)
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in junk.items())
    write(folder, text)
    assert tomllib.loads(text).keys() == junk.keys()
    outcome = target_or_error(folder, target, host, variable)
    assert isinstance(outcome, Target) or (outcome.problem and str(outcome).isprintable())


def target_or_error(
    folder: Path, target: str | None, host: str | None, variable: str
) -> Target | ConfigError:
    try:
        return load(folder, target=target, host=host, environ={"BACKSTAY_TARGET": variable})
    except ConfigError as error:
        return error


@given(data=st.binary(max_size=60))
def test_any_bytes_give_a_config_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "junk"
    folder.mkdir(exist_ok=True)
    (folder / "deploy.toml").write_bytes(data)
    with pytest.raises(ConfigError):
        load(folder, target=None, host=None, environ={})


# The page that describes all this


def blocks() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_shows_every_key_and_no_other() -> None:
    shown = tomllib.loads(re.sub(r"(?m)^# (\w+ += )", r"\1", blocks()[1]))
    assert shown.keys() == FILE.keys() - {"targets"}
    assert {name: shown[name].keys() for name in SECTIONS} == {
        name: keys.keys() for name, keys in SECTIONS.items()
    }


def test_the_page_shows_the_defaults(tmp_path: Path) -> None:
    raw = tomllib.loads(blocks()[1])
    own = "".join(f"{key} = {toml(raw[key])}\n" for key in ("app", "host", "path"))
    assert loaded(tmp_path, blocks()[1]) == loaded(tmp_path, own)


def test_every_key_on_the_page_is_explained() -> None:
    lines = [line for line in blocks()[1].splitlines() if re.match(r"(# )?\w+ +=", line)]
    assert len(lines) == len(FILE) - len(SECTIONS) - 1 + sum(map(len, SECTIONS.values()))
    assert [line for line in lines if not re.search(r" {2}# \S.{5,}", line)] == []


def test_the_other_examples_on_the_page_work(tmp_path: Path) -> None:
    small, _, several = blocks()
    assert loaded(tmp_path, small).name == "production"
    staging, production = (loaded(tmp_path, several, name) for name in (None, "production"))
    assert (staging.name, staging.port, staging.backup.mode) == ("staging", 2222, "off")
    assert (production.branch, production.backup.mode) == ("release", "auto")


def test_every_key_but_a_few_can_be_set_for_a_target() -> None:
    assert FILE.keys() - TARGET.keys() == {"app", "target", "ledger", "targets"}


def test_importing_the_settings_loads_nothing_heavy() -> None:
    script = "import sys, deploy.config; print(*sys.modules)"
    root = str(Path(__file__).parent.parent)
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    loaded_modules = set(run.stdout.split())
    assert "tomllib" in loaded_modules
    assert not loaded_modules & {"fabric", "paramiko", "invoke", "rich", "sqlalchemy", "alembic", "pydantic"}
    assert not loaded_modules & {"difflib", "tempfile", "importlib.metadata"}
