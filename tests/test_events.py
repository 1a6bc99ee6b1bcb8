"""The journal's bytes, in any pieces, give the same items; a state is a fold that nothing breaks."""

from __future__ import annotations

import itertools
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy import events
from deploy.events import Decoder, Event, Output, State, encode, fold

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = ["release", "step", "undo", "fact", "note", "alive", "end", "lost", "hello", "strange"]
WORD = st.text("ab1 é", max_size=5)
FLAT = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORD
JUNK = FLAT | st.lists(FLAT, max_size=3) | st.dictionaries(WORD, FLAT, max_size=3)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "step": st.sampled_from(["pull", "migrate"]) | JUNK,
        "state": st.sampled_from(["begin", "done", "failed"]) | JUNK,
        "steps": st.lists(st.sampled_from(["pull", "migrate"])) | JUNK,
        "exit": JUNK,
        "rc": JUNK,
        "offset": st.integers(0, 99),
        "at": JUNK,
        "name": JUNK,
        "value": JUNK,
    },
)
LINE = st.binary(max_size=60).map(lambda text: text.replace(b"\x1e", b"").replace(b"\n", b"") + b"\n")
RECORD = st.builds(
    lambda name, fields: b"\x1e" + json.dumps({"v": 1, "at": 5, "event": name, **fields}).encode() + b"\n",
    st.sampled_from(NAMES),
    FIELDS,
)
TORN = RECORD.flatmap(lambda record: st.integers(1, len(record) - 1).map(lambda cut: record[:cut]))
JOURNAL = st.lists(LINE | RECORD | TORN | st.binary(max_size=30), max_size=20).map(b"".join)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at)]


@patient
@given(JOURNAL, st.lists(st.integers(0, 10_000), max_size=30), st.booleans())
def test_pieces_do_not_matter(data: bytes, cuts: list[int], greeting: bool) -> None:
    whole, parts = Decoder(greeting=greeting), Decoder(greeting=greeting)
    expected = whole.feed(data)
    assert [item for piece in pieces(data, cuts) for item in parts.feed(piece)] == expected
    assert parts.offset == whole.offset
    assert parts.finish() == whole.finish()


@patient
@given(JOURNAL.filter(lambda data: b"hello" not in data), st.integers(0, 10_000))
def test_reading_on_at_the_offset_loses_and_doubles_nothing(data: bytes, cut: int) -> None:
    """The connection breaks anywhere: the second one starts where the first one was complete."""
    cut %= len(data) + 1
    first = Decoder()
    seen = first.feed(data[:cut])
    inside = [item for item in seen if not isinstance(item, Event) or item.name not in events.OUTSIDE]
    if len(inside) < len(seen):
        return
    second = Decoder(first.offset)
    again = second.feed(data[first.offset :])
    whole = Decoder()
    assert seen + again == whole.feed(data)
    assert first.offset <= cut


@patient
@given(JOURNAL)
def test_offset_is_the_bytes_handed_on(data: bytes) -> None:
    clean = data.replace(b"hello", b"h").replace(b"lost", b"l")
    decoder = Decoder()
    decoder.feed(clean)
    assert len(clean) - decoder.offset == len(decoder._buffer)


@patient
@given(JOURNAL)
def test_a_fold_never_raises(data: bytes) -> None:
    decoder = Decoder()
    state = fold(decoder.feed(data) + decoder.finish())
    assert isinstance(state, State)
    assert state.step("nothing") is None
    assert state.failed_step is None or state.failed_step in state.steps
    assert all(view.seconds >= 0 for view in state.steps)


@patient
@given(st.lists(LINE, max_size=5).map(b"".join), JOURNAL)
def test_a_banner_is_not_the_journal(banner: bytes, data: bytes) -> None:
    hello = encode("hello", 0, release="r1", offset=40)
    decoder = Decoder(40, greeting=True)
    assert decoder.feed(banner) == []
    assert decoder.offset == 40
    items = decoder.feed(hello + data)
    alone = Decoder()
    assert items == alone.feed(hello + data)
    assert decoder.offset == alone.offset


def test_a_banner_without_line_end() -> None:
    decoder = Decoder(greeting=True)
    items = decoder.feed(b"Welcome> " + encode("busy", 1, by="ann"))
    assert [item.name for item in items if isinstance(item, Event)] == ["busy"]
    assert Decoder(greeting=True).finish() == []


def test_a_line_without_end_comes_in_pieces() -> None:
    decoder = Decoder()
    items = decoder.feed(b"x" * 200_000)
    assert [len(item.line) for item in items if isinstance(item, Output)] == [events.PIECE] * 3
    assert decoder.offset == 3 * events.PIECE
    assert decoder.finish() == [Output("x" * (200_000 - 3 * events.PIECE))]


def test_a_redrawn_line_is_what_stays_on_the_screen() -> None:
    assert Decoder().feed(b"10 %\r20 %\r\nnext\n") == [Output("20 %"), Output("next")]


def test_an_event_in_the_middle_of_a_line_and_a_torn_one() -> None:
    step = encode("step", 1, step="pull", state="begin")
    items = Decoder().feed(b"half" + step + step[:20] + step + b"rest\n")
    assert items == [Output("half"), Event("step", 1.0, json.loads(step[1:])), items[2], Output("rest")]
    assert items[2] == items[1]


def test_the_story_of_a_failure() -> None:
    story = [
        encode("release", 10, kind="deploy", release="r1", by="ann", steps=["pull", "migrate"]),
        encode("step", 10, step="pull", state="begin"),
        b"pulling\n",
        encode("step", 12, step="pull", state="done"),
        encode("step", 12, step="migrate", state="begin"),
        encode("step", 11, step="migrate", state="failed", rc=1, why="timeout"),
        encode("undo", 13, step="pull", state="begin"),
        b"back\n",
        encode("undo", 14, step="pull", state="done"),
        encode("end", 15, outcome="failed", exit=1),
    ]
    state = fold(Decoder().feed(b"".join(story)))
    pull, migrate = state.steps
    assert (pull.state, pull.seconds, pull.tail, pull.undo_tail) == ("undone", 2, ("pulling",), ("back",))
    assert (migrate.state, migrate.seconds, migrate.why) == ("failed", 0, "timeout")
    assert (state.outcome, state.exit_code, state.current, state.now) == ("failed", 1, "", 15)
    assert state.failed_step == migrate
