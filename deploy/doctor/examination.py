"""One examination: what can be seen here, then one question to the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from deploy.deployment import Server, question
from deploy.doctor import application, laptop, server
from deploy.doctor.facts import Facts, read
from deploy.errors import BackstayError, ConfigError, RefusedError
from deploy.ledger import outlook as ledger
from deploy.transport import resolve
from deploy.transport.outlook import look
from deploy.view import Finding, Report

if TYPE_CHECKING:
    from deploy.transport import Transport


def examine(get_server: Callable[[], Server], report: Report) -> int:
    """Look at everything and tell ``report``; the exit code: 1 when there is an error.

    Where there is no way to the server, the exit code is that of what is in the way.
    """
    seen = list(laptop.judge_packages(laptop.packages()))
    try:
        asked = get_server()
    except ConfigError as error:
        report.group("laptop", [*seen, laptop.judge_settings(error)])
        report.end(error.exit_code, app="", target="", host="", path="")
        return error.exit_code
    target = asked.target
    report.title(f"{target.app} on {target.name} ({target.destination}:{target.path})")
    try:
        _examine(asked, seen, report)
        code = int(any(finding.level == "error" for finding in report.findings))
    except BackstayError as error:
        code = error.exit_code
    report.end(code, app=target.app, target=target.name, host=target.destination, path=target.path)
    return code


def _examine(asked: Server, seen: list[Finding], report: Report) -> None:
    """Group by group. What keeps from the server is told, and raised."""
    seen.append(laptop.TOLD.ok("settings", str(asked.target.config_file)))
    seen.append(_ledger(asked.target.ledger))
    try:
        seen += _way(asked)
        began = time.monotonic()
        transport = asked.connect()
    except BackstayError as error:
        found = laptop.judge_connection(error)
        # What the connection itself says of a key is more exact.
        report.group(
            "laptop", [one for one in seen if one.check != found.check or one.level == "ok"] + [found]
        )
        raise
    with transport:
        seen.append(laptop.TOLD.ok("connection", f"made in {time.monotonic() - began:.1f} s"))
        report.group("laptop", seen)
        try:
            facts = _ask(asked, transport)
        except BackstayError as error:
            report.group("server", [server.judge_entry(error)])
            raise
    report.group("server", server.findings(facts, asked.target))
    seen = application.findings(facts, asked.target)
    if seen:
        report.group("application", seen)


def _way(asked: Server) -> Iterator[Finding]:
    """What the connection will be made with."""
    outlook = look(resolve(asked.address))
    yield from laptop.judge_ssh(outlook)
    yield from laptop.judge_keys(outlook)
    yield from laptop.judge_agent(outlook, asked.target.forward_agent is True)
    yield from laptop.judge_host_key(outlook)


def _ledger(url: str) -> Finding:
    try:
        return laptop.judge_ledger(ledger.look(url))
    except BackstayError as error:
        return laptop.judge_ledger_error(error)


def _ask(asked: Server, transport: Transport) -> Facts:
    """The server's facts; raises RefusedError and ConnectionLostError."""
    request, pieces, came = question(asked, "doctor"), bytearray(), 0.0
    channel = transport.execute(request.command, request.stdin)
    channel.close_stdin()
    for piece in channel.read():
        came = came or time.time()
        pieces += piece
    facts = read(bytes(pieces), came)
    if facts.answers:
        return facts
    words = channel.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]
    raise RefusedError(
        f"nothing could be started there (exit status {channel.exit_status})",
        "\n".join(words) or "Is its disk full, or the account's shell nologin?",
    )
