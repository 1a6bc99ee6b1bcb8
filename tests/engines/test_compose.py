"""Compose scripts when the Docker daemon does not answer: what cannot be known is never taken for nothing."""

import subprocess
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[2] / "deploy/server"
AWAY = '#!/bin/sh\necho "Cannot connect to the Docker daemon" >&2\nexit 1\n'
NOTHING = '#!/bin/sh\ncase "$*" in *inspect*) echo "No such image: shop" >&2; exit 1 ;; esac\n'


def run(folder: Path, docker: str, commands: str) -> int:
    """The exit status of commands that have the engine's functions and that docker."""
    (folder / "facts").mkdir(exist_ok=True)
    program = folder / "docker"
    program.write_text(docker)
    program.chmod(0o755)
    (folder / "facts/docker").write_text(f"{program}\n")
    (folder / "facts/project").write_text("shop\n")
    (folder / "facts/model").write_text("backend service\nbackend image shop\nbackend dep db\ndb service\n")
    values = f"path={folder} state={folder} app=shop id=r1 services=backend migrate_service=m\n"
    source = f". {SERVER}/lib.sh\n. {SERVER}/compose/engine.sh\n"
    words = ["sh", "-c", values + source + commands]
    return subprocess.run(words, cwd=folder, capture_output=True, timeout=20).returncode


QUESTIONS = [
    'old=$(image_id shop) && [ -z "$old" ]',
    "note_image build backend before",
    "put facts/build.backend.before none; put facts/build.backend.name shop; restore_image build backend",
    'was=$(runs backend) && [ -z "$was" ]',
    'now=$(state_of backend) && [ "$now" = absent ]',
    "stop_run backstay-r1-migrate",
    "note_stopped backend",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_answer_is_no_nothing(tmp_path: Path, question: str) -> None:
    assert run(tmp_path, NOTHING, question) == 0
    for file in (tmp_path / "facts").iterdir():
        file.unlink()
    assert run(tmp_path, AWAY, question) != 0
    assert not (tmp_path / "facts/started").exists()


def test_an_undo_waits_for_the_daemon_once(tmp_path: Path) -> None:
    late = f"#!/bin/sh\n[ -e {tmp_path}/up ] && exit\n: >{tmp_path}/up\nexit 1\n"
    assert run(tmp_path, late, "reach_docker") == 0
    assert run(tmp_path, AWAY, "mark facts/away; reach_docker") == 1


@pytest.mark.parametrize(("answer", "status"), [("heads 005", 1), ("heads 005\nbackstay whole", 0)])
def test_half_an_answer_of_a_client_that_was_killed_is_none(tmp_path: Path, answer: str, status: int) -> None:
    client = f"compose() {{ printf 'backstay {answer}\\n'; return 137; }}; docker_() {{ echo 0; }}"
    ask = "stop_run() { :; }; migrate_workdir=; cat() { :; }; probe state"
    assert run(tmp_path, NOTHING, f"{client}; {ask}") == status
