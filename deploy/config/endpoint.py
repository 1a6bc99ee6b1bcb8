"""A host as people write it, taken apart: user, host, port."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from deploy.config.checks import Bad

_SCOPE = r"[A-Za-z0-9_.-]+"
# What OpenSSH refuses in a host or a user name, and what ssh_config reads as a pattern or a list.
_NOT_IN_HOST = frozenset("'`\"$\\;&<>|(){}[]/,*?!#=@:%")
_NOT_IN_USER = frozenset("'`\";&<>|(){}/,:")


class Endpoint(NamedTuple):
    """Where SSH connects to; ``user`` "" and ``port`` None leave it to the ssh configuration."""

    user: str
    host: str
    port: int | None


def endpoint(value: str) -> Endpoint:
    """A host as ``user@host:port``, an alias of ~/.ssh/config, or ``[IPv6]:port``. Raises Bad."""
    if "://" in value:
        raise Bad("is no URL", 'Write "user@host" or "user@host:port".')
    user, at, rest = value.rpartition("@")
    if at:
        _check_user(user)
    host, port = _split_port(rest)
    return Endpoint(user, host, port)


def _check_user(user: str) -> None:
    if ":" in user:
        raise Bad("holds a password", 'Write "user@host" and log in with a key.')
    if not _plain(user, _NOT_IN_USER):
        raise Bad("has a user name that SSH does not take", 'Write "user@host".')


def _split_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise Bad("has a bracket too many or too few", 'Write "[2001:db8::1]:22".')
        return _ipv6(address), _port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    if ":" in port:
        raise Bad("has too many colons", 'An IPv6 address stands in brackets: "[2001:db8::1]:22".')
    if not _plain(host, _NOT_IN_HOST):
        raise Bad(
            "is no host that SSH takes: no blanks, no leading '-'", 'Write "user@host" or "user@host:port".'
        )
    return host, _port(port) if colon else None


def _plain(text: str, refused: frozenset[str]) -> bool:
    begins_well = bool(text) and not text.startswith("-")
    return begins_well and text.isprintable() and " " not in text and not refused.intersection(text)


def _ipv6(text: str) -> str:
    _, percent, scope = text.partition("%")
    try:
        IPv6Address(text)
    except AddressValueError:
        raise Bad("has no IPv6 address in its brackets") from None
    if percent and not re.fullmatch(_SCOPE, scope):
        raise Bad("has no network interface after '%'")
    return text


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Bad("has a port that is no number from 1 to 65535")
    return int(text)
