"""What each task does, between the command line and the use cases: settings, view, ledger, exit code."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from deploy import deployment, events, view
from deploy.config import Target, load
from deploy.deployment import Server, Watch
from deploy.errors import BackstayError, ConnectionLostError, InterruptedByUserError, UsageError
from deploy.ledger import Ledger, LedgerError, entry_from_state
from deploy.runner import Request, Verb
from deploy.transport import Address


def execute(
    context: Any,
    body: Callable[..., int],
    options: dict[str, Any],
    environ: Mapping[str, str],
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Run one task's body; its exit code. Every error is told here, and nowhere else."""
    command = Command(context, options.get("target", ""), bool(options.get("json")), environ, stdout, stderr)
    try:
        return body(command, **options)
    except KeyboardInterrupt:
        error: BackstayError = InterruptedByUserError("interrupted; nothing was started")
    except BackstayError as known:
        error = known
    except Exception as bug:
        error = _bug(bug)
    view.show_error(error, stderr, environ, json_to=stdout if command.json and not command.told else None)
    return error.exit_code


def _bug(bug: Exception) -> BackstayError:
    """A fault of ours: the trace goes to a file that can be sent, not to the user's screen."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="backstay-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(bug)))
    error = BackstayError(
        f"backstay itself has a fault: {type(bug).__name__}: {bug}",
        f"What is on the server: fab status. Please report the fault with {file.name}",
    )
    error.exit_code = 3
    return error


class Command:
    """One call of ``fab``. ``told`` says that a result was printed."""

    def __init__(
        self, context: Any, name: str, json: bool, environ: Mapping[str, str], stdout: TextIO, stderr: TextIO
    ) -> None:
        self.context, self.name, self.json = context, name, json
        self.environ, self.stdout, self.stderr = environ, stdout, stderr
        self.told = False
        self.expected: dict[str, float] = {}
        self._ledger: Ledger | LedgerError

    @cached_property
    def target(self) -> Target:
        """The settings; raises ConfigError."""
        return load(Path.cwd(), target=self.name or None, host=self._host(), environ=self.environ)

    @cached_property
    def server(self) -> Server:
        """The target with what the command line says of the connection."""
        target = self.target
        address = Address(
            host=target.host,
            user=target.user,
            port=target.port,
            identity=target.identity or None,
            forward_agent=target.forward_agent,
            known_hosts=target.known_hosts or None,
            connect_timeout=target.connect_timeout,
        )
        return Server(target, address.with_options(self.context.config))

    def _host(self) -> str | None:
        """What ``-H`` says, if it was given."""
        if not hasattr(self.context, "original_host"):
            return None
        given = Address.of(self.context)
        host = f"[{given.host}]" if ":" in given.host else given.host
        return (f"{given.user}@" if given.user else "") + host + (f":{given.port}" if given.port else "")

    def deploy(
        self,
        ref: str,
        *,
        yes: bool,
        logs: bool,
        follow: bool,
        if_changed: bool,
        skip_backup: bool,
        detach: bool,
    ) -> int:
        """``fab deploy``; at a terminal it asks before what is dangerous."""
        consent = "yes" if yes else ""
        while True:
            release, request = deployment.deploy(
                self.server, ref, skip_backup=skip_backup, if_changed=if_changed, consent=consent
            )
            result = self.watch(request, release, detach=detach)
            if not (result.danger and self.can_ask):
                break
            if not self.agreed(f"Deploy {view.clean(result.danger[:7])} all the same?"):
                break
            # To this commit; what came to the branch since is asked about again.
            consent = result.danger
        if result.outcome == "deployed" and logs and not self.json:
            try:
                self._tail(None if follow else self.target.logs.seconds)
            except BackstayError as error:
                # The release is up: that its log cannot be shown does not make it a failed one.
                self.warn(error.message, error.hint)
        return result.exit_code

    def rollback(self, to: str, *, force: bool, yes: bool) -> int:
        """``fab rollback``."""
        if not yes and self.can_ask:
            self._confirm(to)
        release, request = deployment.rollback(self.server, to, force=force)
        return self.watch(request, release).exit_code

    def _confirm(self, to: str) -> None:
        answers = self.ask("current")
        release, applied = answers.get("release", ""), answers.get("applied", "")
        if not release:
            return
        down_to = f", down to {to}" if to else ""
        self.stdout.write(f"Roll back release {view.clean(release)}{down_to} on {self.target.name}.\n")
        if applied:
            what = "migrations" if " " in applied else "migration"
            self.stdout.write(f"It undoes the {what} {view.clean(applied)}; a backup is made before.\n")
        if not self.agreed("Go on?"):
            raise UsageError("not rolled back; nothing was touched")

    @property
    def can_ask(self) -> bool:
        """Whether somebody sits there who can answer a question."""
        return sys.stdin.isatty() and self.stdout.isatty() and not self.json

    def agreed(self, question: str) -> bool:
        """Whether the user says yes to it."""
        self.stdout.write(f"{question} [y/N] ")
        self.stdout.flush()
        return self.answer().lower() in ("y", "yes")

    def answer(self) -> str:
        """The line that the user types; empty for Ctrl-D. Raises KeyboardInterrupt."""
        line = ""
        try:
            line = sys.stdin.readline()
        finally:
            if not line.endswith("\n"):
                self.stdout.write("\n")
        return line.strip()

    def attach(self, release: str) -> int:
        """``fab attach``."""
        return self.watch(deployment.question(self.server, "attach", *filter(None, [release]))).exit_code

    def cancel(self) -> int:
        """``fab cancel``: 0 when the deployment was stopped and undone."""
        result = self.watch(deployment.question(self.server, "cancel"))
        return 0 if result.outcome == "cancelled" and result.exit_code == 130 else result.exit_code

    def recover(self, *, accept: bool) -> int:
        """``fab recover``: 0 when nothing is left to recover."""
        if accept:
            answers = self.ask("accept")
            self.stdout.write(f"Release {view.clean(answers.get('accepted', ''))} is put aside as it is.\n")
            return 0
        return self.watch(deployment.question(self.server, "recover"), recovering=True).exit_code

    def logs(self, lines: str, since: str, *, follow: bool) -> int:
        """``fab logs``."""
        count = _count(lines or str(self.target.logs.lines), "--lines")
        self._tail(None if follow else 0.0, count, since)
        return 0

    def status(self) -> int:
        """``fab status``."""
        answers = self.ask("status")
        shown = view.Status(
            app=self.target.app,
            target=self.target.name,
            commit=answers.get("commit", ""),
            branch=answers.get("branch", ""),
            heads=tuple(answers.get("heads", "").split()),
            image=answers.get("image", ""),
            running=answers.get("running") == "yes",
            healthy=answers.get("healthy") == "yes",
            release=answers.get("release", ""),
            in_progress=answers.get("in_progress"),
            interrupted=answers.get("interrupted"),
            drift=tuple(filter(None, answers.get("drift", "").split("; "))),
        )
        view.show_status(shown, self.stdout, self.environ, as_json=self.json)
        return 0

    def doctor(self) -> int:
        """``fab doctor``."""
        from deploy.doctor import examine

        return examine(lambda: self.server, view.Report(self.stdout, self.environ, as_json=self.json))

    def history(self, limit: str) -> int:
        """``fab history``: the server's records go into the ledger first, whoever made them."""
        count, target = _count(limit, "--limit"), self.target
        try:
            states = deployment.records(self.server)
        except BackstayError as error:
            states = []
            self.warn(f"the server's records could not be read: {error.message}", error.hint)
        ledger = Ledger.open(target.ledger)
        ledger.record(*(self._entry(state) for state in states))
        rows = [
            view.HistoryRow(
                release=entry.id,
                kind=entry.kind,
                outcome=entry.outcome or "running",
                when=entry.started_at.timestamp(),
                by=entry.by,
                commit=entry.commit_after,
                heads=entry.heads_after,
                seconds=entry.seconds,
            )
            for entry in ledger.history(target.app, target.name, count)
        ]
        view.show_history(rows, self.stdout, self.environ, as_json=self.json)
        return 0

    def watch(
        self,
        request: Request,
        release: str = "",
        *,
        detach: bool = False,
        recovering: bool = False,
    ) -> view.Result:
        """Follow what the request starts to its end, on screen and into the ledger; gives the result."""
        screen = view.open_view(
            "json" if self.json else "auto",
            self.stdout,
            self.stderr,
            environ=self.environ,
            target=f"{self.target.name} ({self.target.destination})",
            expected=self.expected,
        )
        with screen:
            watch = Watch(self.server, screen, detach=detach, began=self._open_ledger)
            try:
                state = watch.run(request, release)
            except ConnectionLostError as error:
                screen.warn(error.message, error.hint)
                result = view.result_from_state(watch.state, outcome="detached", exit_code=error.exit_code)
            else:
                result = self._result(watch, state, detach, recovering)
            screen.result(result)
            self.told = True
        if watch.state.release:
            self._record(watch.state)
        return result

    def _result(self, watch: Watch, state: events.State, detach: bool, recovering: bool) -> view.Result:
        if "nothing" in watch.answers:
            return view.Result("rolled-back", 0, kind="recover")
        if detach and not state.outcome:
            return view.result_from_state(state, outcome="detached", exit_code=0)
        if watch.interrupts > 1 and not state.outcome:
            return view.result_from_state(state, outcome="detached", exit_code=130)
        if recovering and state.outcome in ("failed", "refused", "cancelled") and state.exit_code != 3:
            return view.result_from_state(state, outcome="rolled-back", exit_code=0)
        return view.result_from_state(state)

    def ask(self, verb: Verb) -> dict[str, str]:
        """The answers to a question; a note of the server's that says error is raised."""
        return deployment.ask(self.server, verb)

    def _tail(self, seconds: float | None, lines: int = 0, since: str = "") -> None:
        from deploy.logs import tail

        tail(
            self.server,
            self.stdout,
            self.environ,
            lines=lines or self.target.logs.lines,
            since=since,
            seconds=seconds,
            warn=self.warn,
        )

    def warn(self, text: str, hint: str = "") -> None:
        """A warning on standard error."""
        with suppress(OSError):
            self.stderr.write(f"warning: {text}\n" + (f"  {hint}\n" if hint else ""))

    def _entry(self, state: events.State) -> Any:
        target = self.target
        return entry_from_state(
            state, app=target.app, target=target.name, host=target.destination, path=target.path
        )

    def _open_ledger(self) -> None:
        """Load the ledger while the server works: SQLAlchemy alone takes a third of a second."""
        self._opening = threading.Thread(target=self._load_ledger, daemon=True)
        self._opening.start()

    def _load_ledger(self) -> None:
        target = self.target
        try:
            self._ledger = Ledger.open(target.ledger)
            for step in ("check", "pull", "migrate", "build", "restart"):
                if (seconds := self._ledger.typical_seconds(target.app, target.name, step)) is not None:
                    self.expected[step] = seconds
        except LedgerError as error:
            self._ledger = error

    def _record(self, state: events.State) -> None:
        """Into the ledger; one that cannot be written is a warning, never a failed deployment."""
        self._opening.join()
        try:
            if isinstance(self._ledger, LedgerError):
                raise self._ledger
            self._ledger.record(self._entry(state))
        except LedgerError as error:
            self.warn(f"the ledger was not written: {error.message}", error.hint)


def _count(text: str, option: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 100_000:
        raise UsageError(f"{option} takes a whole number from 1 to 100000, not {text!r}")
    return int(text)
