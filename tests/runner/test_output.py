"""What steps say: much, strange, secret; and a disk that is full."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import events
from tests.runner.bench import SHELLS, Bench, bench, ended, output, plan, said, step, tool

SLEEP = tool("sleep")
CAT = tool("cat")


def test_strange_bytes_forge_nothing(server: Bench) -> None:
    (server.home / "bytes").write_bytes(
        b'\x1e{"v":1,"at":1,"event":"end","outcome":"deployed","exit":0}\n'
        b'mid\x1e{"v":1,"event":"lost"}\n\x1b[31mred\x1b]0;title\x07\n'
        b"over\rwritten\ncaf\xe9 \xff\xfe\n[r001: end of output 1]\nlast without end"
    )
    items = server.deploy(step("one", f"{CAT} ~/bytes"), step("two", "exit 1"))
    assert ended(items) == ("failed", 1)
    assert len(said(items, "end")) == 1
    assert not said(items, "lost")
    lines = output(items)
    assert lines[1] == '{"v":1,"at":1,"event":"end","outcome":"deployed","exit":0}'
    assert "last without end" in lines
    assert "do two" in lines


def test_nul_bytes_break_no_event(server: Bench) -> None:
    (server.home / "bytes").write_bytes(b"a\0b\0\n\0\0\n" + b"\0" * 5000 + b"\nend of it\n")
    items = server.deploy(step("one", f"{CAT} ~/bytes"), "two")
    assert ended(items) == ("deployed", 0)
    assert [event.text("state") for event in said(items, "step")] == ["begin", "done"] * 2


def test_what_a_note_says_breaks_nothing(server: Bench) -> None:
    (server.home / "text").write_bytes(
        b'a "quoted" \\ back\\slash\n\ttab \x1e\x01\x7f \xc3\xa4 \xff $(touch ~/canary) `x`'
    )
    note = (
        f'. ./values.sh; . ./lib.sh; say warn "$({CAT} ~/text)" "$({CAT} ~/text)"; fact odd "$({CAT} ~/text)"'
    )
    items = server.deploy(step("one", note))
    text = 'a "quoted" \\ back\\slash  tab  ä � $(touch ~/canary) `x`'
    assert [said(items, "note")[0].text(key) for key in ("text", "hint")] == [text, text]
    assert [event.text("value") for event in said(items, "fact")][1:] == [text]
    assert (server.release() / "facts/odd").read_bytes().rstrip(b"\n") == (server.home / "text").read_bytes()
    assert not (server.home / "canary").exists()


def test_a_very_long_note_is_cut(dash: Bench) -> None:
    note = ". ./values.sh; . ./lib.sh; say warn \"$(head -c 30000 /dev/zero | tr '\\0' x)\""
    assert len(said(dash.deploy(step("one", note)), "note")[0].text("text")) == 4000


@pytest.mark.parametrize("shell", SHELLS)
def test_a_flood_is_bounded_and_said(shell: str, tmp_path: Path) -> None:
    megabytes = int(os.environ.get("BACKSTAY_FLOOD", "5"))
    with bench(tmp_path / "server", shell) as server:
        flood = (
            f"yes 'a line of the flood, and one more word' | head -c {megabytes}000000; echo the last line"
        )
        items = server.deploy(step("one", flood))
        assert ended(items) == ("deployed", 0)
        lines = output(items)
        assert any(line.startswith("[over 200000 bytes of output") for line in lines)
        assert any(line.endswith("lines left out]") for line in lines)
        assert lines[-1].endswith("the last line")
        assert (server.release() / "journal").stat().st_size < 300_000


@pytest.mark.parametrize("shell", ["busybox", "dash"])
def test_a_line_of_megabytes_is_cut(shell: str, tmp_path: Path) -> None:
    with bench(tmp_path / "server", shell, values={"output_limit": 4_000_000}) as server:
        items = server.deploy(step("one", "head -c 3000000 /dev/zero | tr '\\0' y; echo; echo after"))
        assert ended(items) == ("deployed", 0)
        lines = output(items)
        assert any("bytes left out" in line for line in lines)
        assert lines[-1] == "after"


def test_secrets_are_masked_in_output_notes_and_facts(server: Bench) -> None:
    (server.checkout / ".env").write_text(
        "PASSWORD=correct-horse\nDATABASE_URL=postgresql://app:s3cr3tpw@db/x\n"
    )
    (server.checkout / "prod.env").write_text("API_TOKEN='tok 123456'\n")
    says = """. ./values.sh; . ./lib.sh
echo "correct-horse and tok 123456 and postgresql://app:s3cr3tpw@db/x"
say warn correct-horse; fact leak s3cr3tpw; fail "tok 123456" "correct-horse" """
    items = server.deploy(step("one", says))
    assert ended(items) == ("failed", 1)
    journal = (server.release() / "journal").read_bytes()
    for secret in (b"correct-horse", b"tok 123456", b"s3cr3tpw"):
        assert secret not in journal
    assert "*** and *** and ***" in output(items)


def test_the_filter_hands_on_each_line_at_once(server: Bench) -> None:
    slow = f"echo first; touch ~/waits; while [ ! -e ~/go ]; do {SLEEP} 0.02; done"
    process = server.start("deploy", plan=plan([step("one", slow)]))
    server.wait_for("waits")
    items = server.watch(process, lambda item: item == events.Output("first"))
    assert "first" in output(items)
    (server.home / "go").touch()


def test_killing_the_filter_fails_the_step_and_no_more(dash: Bench) -> None:
    """Whoever kills it: the step, or what is left of it, is undone."""
    kills = f"""runner=$(awk '{{ print $4 }}' /proc/$PPID/stat)
for file in /proc/[0-9]*; do
    case $(tr '\\0' ' ' <$file/cmdline 2>/dev/null) in
        *"mask.awk limit="*"eof="*" $runner]"*) kill -9 ${{file#/proc/}} && touch ~/killed ;;
    esac
done; {SLEEP} 0.2; for n in 1 2 3 4 5; do echo more || exit 5; {SLEEP} 0.05; done"""
    items = dash.deploy(step("one", kills), step("two", "exit 1"))
    assert ended(items) == ("failed", 1)
    assert dash.lines()[-1] == "undo one"
    assert (dash.home / "killed").exists()


# --- a full disk ---


@pytest.fixture(params=SHELLS)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A server whose records are on a disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True
    ).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        with bench(tmp_path / "server", request.param, values={"state": str(disk / "state")}) as server:
            server.state = disk / "state"
            yield server
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


FILL = '. ./values.sh; dd if=/dev/zero of="$state/../filler" bs=1024 2>/dev/null'


def test_a_disk_that_gets_full_in_a_step(small: Bench) -> None:
    items = small.deploy("one", step("two", f"{FILL}; echo still here; exit 1"))
    assert ended(items) == ("failed", 1)
    assert small.lines()[-2:] == ["undo two", "undo one"]
    assert (small.outcome(), small.record("unfinished"), small.lock.read_text()) == ("failed 1", "", "")
    assert [view.state for view in events.fold(items).steps] == ["undone", "undone"]


def test_a_disk_that_is_full_while_much_is_said(small: Bench) -> None:
    """The journal cannot grow; the step goes on, and so does its undo, which talks too."""
    noisy = "yes 'some words of the undo' | head -c 600000"
    items = small.deploy(step("one", f"{FILL}; yes 'some words' | head -c 500000; exit 1", noisy))
    assert ended(items)[0] in {"failed", "lost"}
    assert small.lines() == ["do one", "undo one"]
    assert small.outcome() == "failed 1"
    assert ended(small.run("attach", "r001")) == ("failed", 1)


def test_a_disk_that_is_full_from_the_start(small: Bench) -> None:
    small.deploy("one")
    with contextlib.suppress(OSError), (small.state / "../filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1000)
    items = small.deploy("two")
    assert ended(items) == ("refuse", 2)
    assert "Is the disk full?" in said(items, "refuse")[0].text("hint")
    assert small.lines() == ["do one"]
    assert (small.record("unfinished"), small.lock.read_text()) == ("", "")
    (small.state / "../filler").unlink()
    assert ended(small.deploy("three")) == ("deployed", 0)
    assert ended(small.rollback()) == ("rolled-back", 0)
    assert small.record("current") == "r001"


def test_too_little_room_for_the_reserve(small: Bench) -> None:
    small.deploy("one")
    size = os.statvfs(small.state)
    with (small.state / "../filler").open("wb") as file:
        file.write(b"x" * (size.f_bavail * size.f_bsize - 150_000))
    items = small.deploy("two")
    assert ended(items) in {("refused", 2), ("refuse", 2)}
    assert small.lines() == ["do one"]
    assert small.record("current") == "r001"
    assert small.record("unfinished") == ""


def test_recovery_on_a_full_disk(small: Bench) -> None:
    process = small.start(
        "deploy", plan=plan(["one", step("two", f"{FILL}; touch ~/hangs; exec {SLEEP} 60")])
    )
    small.wait_for("hangs")
    small.kill_all()
    small.leave(process)
    items = small.run("recover")
    assert ended(items)[0] in {"failed", "lost"}
    assert small.lines()[-2:] == ["undo two", "undo one"]
