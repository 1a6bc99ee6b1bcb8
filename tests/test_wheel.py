"""What is on the shelf: the built wheel, in an environment of its own, far from the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDED = (
    "deploy/py.typed",
    "deploy/server/runner.sh",
    "deploy/server/enter.sh",
    "deploy/server/mask.awk",
    "deploy/server/probe.py",
    "deploy/server/compose/model.awk",
    "deploy/server/compose/restart.undo.sh",
    "deploy/server/venv/engine.sh",
    "deploy/ledger/migrations/env.py",
    "deploy/ledger/migrations/versions/001_releases.py",
    "deploy/demo/snapcheck/docker-compose.yml",
    "deploy/demo/snapcheck/backend/migrations/versions/001_initial.py",
)
USE = """
import deploy, sys
from pathlib import Path
from deploy.config import Target
from deploy import deployment, recipe
from deploy.engines import ENGINES
from deploy.ledger import Ledger
from deploy.transport import Address

assert Path(deploy.__file__).is_relative_to(sys.prefix), deploy.__file__
for name in ENGINES:
    target = Target(name="production", app="shop", host="server.example.org", path="/srv/shop", engine=name)
    release, request = deployment.deploy(deployment.Server(target, Address("server.example.org")), "")
    assert len(request.stdin) > 5000
assert Ledger.open("sqlite:///" + sys.argv[1]).history("shop", "production", 5) == []
"""


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        words,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "import os, sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("backstay-*.whl"))


def test_it_holds_what_is_needed_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in NEEDED if name not in names] == []
    assert [name for name in names if "__pycache__" in name or name.startswith("tests")] == []


def test_it_works_where_only_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "fabfile.py").write_text("from deploy.tasks import namespace\n")
    listed = run(python.parent / "fab", "--list", cwd=tmp_path / "own")
    assert "deploy " in listed
    assert "rollback " in listed
    run(python, "-c", USE, tmp_path / "ledger.db", cwd=tmp_path)
