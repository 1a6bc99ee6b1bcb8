"""The use cases: where a plan, the connection and the journal meet.

The journal on the server is the truth. What is seen here is a fold of it, so that reading on after a lost
connection is reading again from a byte offset.
"""

from __future__ import annotations

import contextlib
import getpass
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from deploy import events, recipe, runner
from deploy.config import Target
from deploy.engines import ENGINES
from deploy.errors import BusyError, ConnectionLostError, RefusedError
from deploy.plan import Plan
from deploy.runner import NOT_UNPACKED, Request, Verb
from deploy.shell import Values
from deploy.transport import Address, connect, pauses

if TYPE_CHECKING:
    from deploy.transport import Channel, Transport

#: Seconds for which a lost connection is sought anew; the server goes on all the same.
RECONNECT_FOR = 600.0
#: How often the screen is given a turn, in seconds.
TICK = 0.1


class Watcher(Protocol):
    """Whoever looks at a release: a view, or a test."""

    def item(self, item: events.Item, state: events.State) -> None: ...
    def tick(self, now: float) -> None: ...
    def warn(self, text: str, hint: str = "") -> None: ...


@dataclass(frozen=True)
class Server:
    """A target and how to get there."""

    target: Target
    address: Address

    def connect(self) -> Transport:
        """A new connection; raises TransportError."""
        return connect(self.address)

    def request(
        self,
        verb: Verb,
        *words: str,
        plan: Plan | None = None,
        values: Mapping[str, str | bool] | None = None,
    ) -> Request:
        """What to send for ``verb``."""
        engine = ENGINES[self.target.engine]
        settings: Values = {
            **recipe.values(self.target, engine),
            "kind": plan.kind if plan else "",
            "id": "",
            "by": who(),
            "ref": "",
            "force": False,
            "if_changed": False,
            **(values or {}),
        }
        return runner.request(verb, words, settings, plan)


def who() -> str:
    """Who is asking, for those who find the server busy: ``user@laptop``."""
    with contextlib.suppress(OSError, KeyError):
        return f"{getpass.getuser()}@{socket.gethostname()}"
    return "somebody"


def new_id() -> str:
    """An id for a release: the time here, in UTC, and seven random digits against two in one second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)[:7]}"


def deploy(
    server: Server, ref: str, *, skip_backup: bool = False, if_changed: bool = False, consent: str = ""
) -> tuple[str, Request]:
    """The release's id and the request that starts it; ``ref`` is a branch, tag or commit.

    ``consent`` to dangerous migrations is "yes", or the one commit that it is about.
    """
    release = new_id()
    values: dict[str, str | bool] = {
        "id": release,
        "ref": ref or server.target.branch,
        "if_changed": if_changed,
        "consent": consent,
    }
    if skip_backup:
        values["backup_mode"] = "off"
    plan = recipe.deployment(server.target, ENGINES[server.target.engine])
    return release, server.request("deploy", plan=plan, values=values)


def rollback(server: Server, to: str, *, force: bool = False) -> tuple[str, Request]:
    """The id of the rollback and the request that starts it; ``to`` is a release, or empty for one back."""
    release = new_id()
    plan = recipe.rollback(server.target, ENGINES[server.target.engine])
    return release, server.request("rollback", to, plan=plan, values={"id": release, "force": force})


def operate(server: Server, kind: recipe.Operation, **values: str) -> tuple[str, Request]:
    """The id of an operation on the database and the request that starts it; ``values`` are its own."""
    release = new_id()
    plan = recipe.operation(server.target, ENGINES[server.target.engine], kind, into=bool(values.get("into")))
    return release, server.request("operate", plan=plan, values={"id": release, **values})


def question(server: Server, verb: Verb, *words: str, **values: str) -> Request:
    """The request of a verb that starts nothing; its id names what it may run for the answer."""
    plan = recipe.questions(ENGINES[server.target.engine], verb)
    return server.request(verb, *words, plan=plan, values={"id": new_id(), **values})


def ask(server: Server, verb: Verb) -> dict[str, str]:
    """The server's answers to a question; raises RefusedError when it says that something is wrong."""
    answers: dict[str, str] = {}
    for item in _answers(server, verb):
        match item.name:
            case "answer":
                answers[item.text("name")] = item.text("value")
            case "refuse":
                raise refused(item)
            case "note" if item.text("level") == "error":
                raise RefusedError(item.text("text"), item.text("hint"))
    return answers


def records(server: Server) -> list[events.State]:
    """The releases that the server has records of, oldest first."""
    found: list[events.State] = []
    for item in _answers(server, "records"):
        if item.name == "answer":
            found.append(events.State())
        elif item.name == "refuse":
            raise refused(item)
        elif found:
            found[-1] = events.advance(found[-1], item)
    return [state for state in found if state.release]


def _answers(server: Server, verb: Verb) -> Iterator[events.Event]:
    return (item for item in listen(server, verb) if isinstance(item, events.Event))


def lines(server: Server, verb: Verb, *words: str, **values: str) -> tuple[list[str], bool]:
    """The lines of output that answer a question, and whether it could be answered. Raises RefusedError."""
    found, good = [], False
    for item in listen(server, verb, *words, **values):
        if isinstance(item, events.Output):
            found.append(item.line)
        elif item.name == "refuse":
            raise refused(item)
        elif item.name == "note" and item.text("level") == "error":
            raise RefusedError(item.text("text"), item.text("hint"))
        elif item.name == "answer" and item.text("name") == "status":
            good = item.text("value") == "0"
    return found, good


def listen(server: Server, verb: Verb, *words: str, **values: str) -> Iterator[events.Item]:
    """All that the server says to a question, lines of output too."""
    asked, decoder = question(server, verb, *words, **values), events.Decoder(greeting=True)
    with server.connect() as transport:
        channel = transport.execute(asked.command, asked.stdin)
        channel.close_stdin()
        for data in channel.read():
            yield from decoder.feed(data)


@dataclass
class Watch:
    """Follows one release to its end, over as many connections as that takes.

    The first Ctrl-C asks the server to cancel and undo; the second leaves it to itself.
    """

    server: Server
    watcher: Watcher
    detach: bool = False
    began: Callable[[], None] = lambda: None
    state: events.State = field(default_factory=events.State)
    release: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    started: bool = False
    interrupts: int = 0
    _asked: int = 0
    _decoder: events.Decoder = field(default_factory=lambda: events.Decoder(greeting=True))

    def run(self, request: Request, release: str = "") -> events.State:
        """The state at the end: with an outcome, ``lost`` when the runner is gone, else left to itself.

        Raises BusyError, RefusedError and TransportError when nothing was started, and ConnectionLostError
        when the connection could not be had again.
        """
        self.release = release
        with self.server.connect() as transport, self._signals():
            while True:
                try:
                    return self._listen(transport, request)
                except ConnectionLostError as error:
                    request = self._again(transport, error)

    def _listen(self, transport: Transport, request: Request) -> events.State:
        channel = transport.execute(request.command, request.stdin)
        try:
            for data in channel.read(TICK):
                self._take(data)
                self.watcher.tick(time.monotonic())
                if self._over():
                    return self.state
                self._ask_to_cancel(transport)
        finally:
            channel.close_stdin()
        if self.answers:
            return self.state
        if self.started:
            # What shows the journal was killed there; the release is none of that.
            raise ConnectionLostError("what shows the release has ended on the server", "fab attach")
        raise self._not_started(channel)

    def _take(self, data: bytes) -> None:
        for item in self._decoder.feed(data):
            if isinstance(item, events.Event) and item.name in events.OUTSIDE:
                self._beside(item)
            elif self.started:
                self.state = events.advance(self.state, item)
                self.watcher.item(item, self.state)

    def _beside(self, event: events.Event) -> None:
        match event.name:
            case "hello":
                self.started, self.release = True, event.text("release")
                self.began()
            case "lost":
                self.state = events.advance(self.state, event)
            case "answer":
                self.answers[event.text("name")] = event.text("value")
            case "busy":
                raise busy(event)
            case "refuse":
                raise refused(event)

    def _over(self) -> bool:
        left = self.interrupts > 1 or (self.detach and self.state.release)
        return bool(self.state.outcome or self.state.lost or (self.started and left))

    def _not_started(self, channel: Channel) -> Exception:
        status = channel.exit_status
        words = channel.stderr.decode("utf-8", "replace").strip().splitlines()
        if status == NOT_UNPACKED:
            return RefusedError(
                "the server could not unpack what was sent", words[-1] if words else "Is its disk full?"
            )
        return RefusedError(f"the server did not start (exit status {status})", "\n".join(words[-5:]))

    def _again(self, transport: Transport, error: ConnectionLostError) -> Request:
        """Connect anew, and ask for the journal from where it broke off."""
        if not self.release:
            raise error
        for pause in pauses(RECONNECT_FOR):
            self.watcher.warn(f"the connection is gone; trying again in {pause:.0f} s")
            self._sleep(pause)
            if self.interrupts > 1:
                break
            try:
                transport.reopen()
            except (ConnectionLostError, OSError):
                continue
            except Exception as failure:
                if not _may_pass(failure):
                    raise
                continue
            self._decoder = events.Decoder(self._decoder.offset, greeting=True)
            return question(self.server, "follow", self.release, str(self._decoder.offset))
        raise ConnectionLostError("the connection is gone; the deployment goes on without it", "fab attach")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.interrupts < 2:
            self.watcher.tick(time.monotonic())
            time.sleep(TICK)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupted(self, _signal: int, _frame: FrameType | None) -> None:
        self.interrupts += 1
        if self.interrupts > 2 or not self.release:
            raise KeyboardInterrupt

    def _ask_to_cancel(self, transport: Transport) -> None:
        if self.interrupts <= self._asked or not self.started:
            return
        self._asked = self.interrupts
        self.watcher.warn("cancelling: the server stops and undoes it", "Ctrl-C again to leave it to itself.")
        asked = question(self.server, "cancel")
        transport.execute(asked.command, asked.stdin).close_stdin()


def _may_pass(failure: Exception) -> bool:
    """Whether a failure to connect may be over soon: the network is gone, not the host key."""
    from deploy.errors import UnreachableError

    return isinstance(failure, UnreachableError)


def busy(event: events.Event) -> BusyError:
    """The error of a server that somebody else has the lock of."""
    try:
        since = f"{datetime.fromtimestamp(int(event.text('since'))):%H:%M:%S}"
    except (ValueError, OSError, OverflowError):
        since = "a while"
    by, release, step = (event.text(name) or "unknown" for name in ("by", "release", "step"))
    return BusyError(
        f"another deployment is running: {release} by {by}, since {since}, now at {step}",
        "fab attach shows it.",
    )


def refused(event: events.Event) -> RefusedError:
    """The error of a server that started nothing; exit code 3 when an earlier release is in the way."""
    error = RefusedError(event.text("text"), event.text("hint"))
    error.exit_code = event.number("exit") or 2
    return error
