"""Reading the journal over connections that break."""

from __future__ import annotations

import os
import random
import signal

from deploy import events
from tests.runner.bench import Bench, ended, output, plan, said, session_of, step, tool, wait_until

SLEEP = tool("sleep")
TALKS = f"""
n=0
while [ $n -lt 300 ]; do
    n=$((n + 1))
    echo "line $n äöü $(printf '%0*d' $((n % 90 + 1)) 7)"
    [ $((n % 40)) != 0 ] || {SLEEP} 0.02
done"""


def raw(server: Bench, process: object, enough: int) -> bytes:
    """At most that many bytes of the stream, then the connection is gone."""
    data = b""
    while len(data) < enough and (more := os.read(process.stdout.fileno(), enough - len(data))):  # type: ignore[attr-defined]
        data += more
        if b'"event":"end"' in data:
            break
    os.killpg(process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    server.leave(process)  # type: ignore[arg-type]
    return data


def test_a_reader_that_comes_back_loses_and_doubles_nothing(server: Bench) -> None:
    chance = random.Random(5)
    process = server.start("deploy", plan=plan([step("one", TALKS), step("two", TALKS)]))
    decoder, items, seen = events.Decoder(greeting=True), list[events.Item](), b""
    while not any(isinstance(item, events.Event) and item.name == "end" for item in items):
        start = decoder.offset
        data = raw(server, process, chance.randrange(200, 6000))
        items += [item for item in decoder.feed(data) if not said([item], "hello")]
        record = data.find(b"\n") + 1
        seen = seen[:start] + data[record:][: decoder.offset - start]
        decoder = events.Decoder(decoder.offset, greeting=True)
        process = server.start("follow", "r001", str(decoder.offset))
    server.leave(process)
    journal = (server.release(1) / "journal").read_bytes()
    assert seen == journal
    assert items == events.Decoder().feed(journal)
    assert decoder.offset == len(journal)
    assert ended(items) == ("deployed", 0)


def test_attach_without_a_name_shows_the_last_one(server: Bench) -> None:
    server.deploy("one")
    server.deploy("two", "three")
    items = server.run("attach", "")
    assert output(items) == ["do two", "do three"]
    assert output(server.run("attach", "r001")) == ["do one"]
    assert ended(server.run("attach", "r099")) == ("refuse", 2)


def test_attach_with_no_release_at_all(dash: Bench) -> None:
    assert ended(dash.run("attach", "")) == ("refuse", 2)


def test_three_followers_and_their_end_leave_nothing(server: Bench) -> None:
    waits = f"touch ~/waits; while [ ! -e ~/go ]; do {SLEEP} 0.02; done"
    first = server.start("deploy", plan=plan([step("one", waits)]))
    server.wait_for("waits")
    others = [server.start("attach", "") for _ in range(2)]
    for follower in others:
        server.watch(follower, lambda item: bool(said([item], "step")))
    runner = server.runner_pid(1)
    wait_until(lambda: not [pid for pid in server.processes() if session_of(pid) == others[0].pid])
    (server.home / "go").touch()
    assert ended(server.watch(first)) == ("deployed", 0)
    assert runner not in server.processes()


def test_a_follower_of_an_interrupted_release_is_told(server: Bench) -> None:
    process = server.start("deploy", plan=plan([step("one", f"touch ~/hangs; exec {SLEEP} 60")]))
    server.wait_for("hangs")
    server.kill_all()
    server.leave(process)
    assert ended(server.run("attach", "")) == ("lost", 0)
    # A record that a broken disk left empty says no more than none.
    (server.release(1) / "outcome").touch()
    assert ended(server.run("attach", "")) == ("lost", 0)


def test_the_recovery_goes_on_in_the_same_journal(server: Bench) -> None:
    process = server.start("deploy", plan=plan(["one", step("two", f"touch ~/hangs; exec {SLEEP} 60")]))
    server.wait_for("hangs")
    server.kill_all()
    server.leave(process)
    items = server.run("recover")
    assert [event.text("step") for event in said(items, "undo")] == ["two", "two", "one", "one"]
    state = events.fold(server.journal(1))
    assert (state.outcome, state.exit_code) == ("failed", 1)
    assert [view.state for view in state.steps] == ["undone", "undone"]
    assert ended(server.run("attach", "r001")) == ("failed", 1)


def test_records_are_the_events_of_all(server: Bench) -> None:
    server.deploy(step("one", "printf 'no line end'"))
    server.deploy(step("one", "exit 1"))
    process = server.start("records")
    items = server.watch(process, lambda item: False)
    assert [event.text("value") for event in said(items, "answer")] == ["r001", "r002"]
    assert [event.text("outcome") for event in said(items, "end")] == ["deployed", "failed"]
    assert output(items) == []
