"""No secret of a .env file, in any form, passes the filter; whatever the awk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[2] / "deploy/server/mask.awk"
AWKS = {
    "mawk": ["mawk", "-W", "interactive"],
    "busybox": ["busybox", "awk"],
    "gawk": ["gawk"],
    "original-awk": ["original-awk"],
}
EXAMPLES = max(30, int(os.environ.get("BACKSTAY_EXAMPLES", "0")))


@pytest.fixture(params=AWKS)
def awk(request: pytest.FixtureRequest) -> list[str]:
    words = AWKS[request.param]
    if not shutil.which(words[0]) and not os.environ.get("CI"):
        pytest.skip(f"{words[0]} is not installed")
    return words


def mask(awk: list[str], env: bytes, text: bytes, folder: Path, *options: str) -> bytes:
    file = folder / ".env"
    file.write_bytes(env)
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "MASK_FILES": str(file), "MASK_KEEP": "shopping"}
    done = subprocess.run(
        [*awk, "-f", SCRIPT, *options], input=text, capture_output=True, env=environ, check=True, timeout=60
    )
    assert done.stderr == b""
    return done.stdout


CASES = [
    ("PASSWORD=hunter2", "a hunter2 b", "a *** b"),
    ("export PASSWORD=hunter2", "hunter2", "***"),
    ("  PASSWORD = hunter2  ", "hunter2", "***"),
    ("PASSWORD: hunter2", "hunter2", "***"),
    ('PASSWORD="hunter two"', "x hunter two y", "x *** y"),
    ("PASSWORD='hunter two'", "x hunter two y", "x *** y"),
    ('PASSWORD="hunter2" # a note', "hunter2", "***"),
    ("PASSWORD=hunter2 # a note", "hunter2", "***"),
    ("PASSWORD=hunter2#4", "hunter2#4", "***"),
    ('PASSWORD="hun#ter2"', "hun#ter2", "***"),
    ('PASSWORD="hun\\"ter2"', 'hun"ter2', "***"),
    ("PASSWORD=hunter2\r", "hunter2", "***"),
    ("PASSWORD=abc=def==", "abc=def==", "***"),
    ("PASSWORD=a.*b[c]d$", "a.*b[c]d$ axxbcd", "*** axxbcd"),
    ("PASSWORD=a\\nb+c&d", "a\\nb+c&d", "***"),
    ("PASSWORD=short", "short", "short"),
    ("PASSWORD=12345678", "12345678", "***"),
    ("PORT=12345678", "12345678", "12345678"),
    ("WORKERS=10000000", "10000000", "10000000"),
    ("DEBUG=production", "production", "production"),
    ("# PASSWORD=hunter2", "hunter2", "hunter2"),
    ("DB_NAME=shopdata", "shopdata", "shopdata"),
    ("DB_USER_PASSWORD=shopdata", "shopdata", "***"),
    ("TOKEN=shopping", "shopping", "shopping"),
    ("COMPOSE_FILE=docker-compose.yml", "docker-compose.yml", "docker-compose.yml"),
    ("A_KEY=secret1\nB_KEY=secret1long", "secret1long secret1", "*** ***"),
    ("URL=postgres://u:p%40ssw0rd@h/d", "p@ssw0rd p%40ssw0rd", "*** ***"),
    ("PASSWORD=p@ss w0rd", "p%40ss%20w0rd", "***"),
    ("PASSWORD=p:/ssw0rd", "p%3A%2Fssw0rd p%3a%2fssw0rd", "*** ***"),
    ("URL=redis://:s3cr3tpw@h:1/0", "s3cr3tpw", "***"),
    ("", "postgres://user:pw@host/x", "postgres://***@host/x"),
    ('KEY="-----BEGIN\nabcdef012345==\n-----END"\nOTHER_KEY=hunter2', "abcdef012345== hunter2", "*** ***"),
    ("KEY='not closed\nOTHER=hunter2", "OTHER=hunter2", "***"),
]


@pytest.mark.parametrize(("env", "text", "expected"), CASES)
def test_forms(awk: list[str], env: str, text: str, expected: str, tmp_path: Path) -> None:
    assert mask(awk, env.encode(), text.encode() + b"\n", tmp_path).decode() == expected + "\n"


SECRET = st.binary(min_size=6, max_size=40).filter(
    lambda text: (
        not set(text) & set(b"\n\r\0\x1e\"'#\\ \t") and text not in (b"shopping", b"production", b"localhost")
    )
)


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_secret_of_any_bytes_never_shows(awk: list[str], data: st.DataObject, tmp_path: Path) -> None:
    secrets = data.draw(st.lists(SECRET.filter(lambda s: s != b"postgres"), min_size=1, max_size=4))
    around = st.binary(max_size=20).map(lambda text: text.replace(b"\0", b"").replace(b"\n", b""))
    text = b""
    for secret in secrets:
        text += data.draw(around) + secret + data.draw(around) + quote(secret, safe="").encode() + b"\n"
    env = b"\n".join(b"A_SECRET=" + secret for secret in secrets)
    out = mask(awk, env, text, tmp_path)
    for secret in secrets:
        assert secret not in out or secret in b"***://***@"
        assert quote(secret, safe="").encode() not in out
    assert b"\x1e" not in out


@pytest.mark.parametrize("place", [32768 - 4, 32768, 65536, 70000, 90000])
def test_a_cut_leaves_no_part_of_a_secret(awk: list[str], place: int, tmp_path: Path) -> None:
    line = b"x" * place + b"hunter2-correct-horse" + b"y" * (100_000 - place) + b"\n"
    out = mask(awk, b"PASSWORD=hunter2-correct-horse", line, tmp_path)
    assert b"hunt" not in out
    assert b"orse" not in out
    assert len(out) < 66_000


def test_the_end_is_what_it_is_told(awk: list[str], tmp_path: Path) -> None:
    assert mask(awk, b"", b"one\ntwoEND\nthree\n", tmp_path, "eof=END") == b"one\ntwo\n"
    assert mask(awk, b"", b"one\nEND\nthree\n", tmp_path, "eof=END") == b"one\n"
    assert mask(awk, b"", b"one\ntwo", tmp_path, "eof=END") == b"one\ntwo\n"


def test_files_that_are_not_there(awk: list[str], tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "MASK_FILES": f"{tmp_path}/none\n{tmp_path}\n"}
    done = subprocess.run([*awk, "-f", SCRIPT], input=b"x\n", capture_output=True, env=environ, check=True)
    assert done.stdout == b"x\n"
