"""A server whose state is some files, changed by steps; and a runner that kills itself where it is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from deploy import runner
from deploy.plan import Plan, Step
from deploy.runner import contents, pack, wrap
from tests.runner.bench import QUICK, Bench, tool

SLEEP = tool("sleep")
LIB = ". ./values.sh; . ./lib.sh\n"
#: Lines that do not begin a statement.
_CLOSERS = re.compile(r"(fi|done|esac|else|elif|then|do|\}|\)|;;|\|\||&&|#|['\"])|[^ (]*\) ")
_CONTINUED = re.compile(r"(\\|&&|\|\||\|)$")
_POINT = """point() {{
    came=$?
    if [ "${{0##*/}}" = runner.sh ] && [ "$1" = "${{KILL_AT:-}}" ]; then {kill}; fi
    return "$came"
}}
"""
_KILL = {
    "runner": 'kill -s KILL "$$"',
    # The step, the runner, its guard and filter, in one go.
    "all": 'kill -s KILL -- "-${child:-$$}" 2>/dev/null; kill -s KILL 0',
}
#: For a step: the runner, the father of its session's leader, is killed.
KILL_RUNNER = "kill -s KILL $(awk '{ print $4 }' /proc/$PPID/stat)"


def with_points(text: str, name: str) -> tuple[str, int]:
    """The script with a numbered point before every statement in its functions, and how many there are."""
    lines, count, before, in_case = list[str](), 0, "", 0
    for line in text.splitlines():
        body = line.strip()
        opens = body.startswith("case ") and "esac" not in body
        if (
            line.startswith("    ")
            and body
            and not _CLOSERS.match(body)
            and not _CONTINUED.search(before)
            and not in_case
        ):
            count += 1
            lines.append(f"    point {name}{count}")
        in_case += opens - (body == "esac")
        lines.append(line)
        before = body
    return "\n".join(lines) + "\n", count


@cache
def points(how: str = "runner") -> tuple[dict[str, str], list[str]]:
    """The runner's scripts with points, and the points' names."""
    files, names = {}, []
    for script in ("runner.sh", "execute.sh", "lib.sh"):
        letter = script[0]
        text = contents({}, None)[script]
        files[script], count = with_points(text, letter)
        names += [f"{letter}{n}" for n in range(1, count + 1)]
    files["lib.sh"] = _POINT.format(kill=_KILL[how]) + files["lib.sh"]
    return files, names


def change(number: int, after: str = "", *, between: str = "", timeout: int = 400) -> Step:
    """A step that changes one file, in two parts, and notes before what was there. So many undos fail as
    ``bad.undo`` in the home folder says, whichever they are."""
    name = f"file{number}"
    do = f"""{LIB}
echo working
fact {name}.before "$(cat ~/{name})"
echo half >~/{name}
{between}
echo "$id" >~/{name}
{after}"""
    undo = f"""{LIB}
known {name}.before || exit 0
recall {name}.before >~/{name}
read -r bad 2>/dev/null <~/bad.undo || exit 0
if [ "$bad" -gt 1 ]; then echo $((bad - 1)) >~/bad.undo; else rm ~/bad.undo; fi
exit 1
"""
    return Step(name, do, undo, timeout)


def three(*after: str) -> Plan:
    """A plan that changes three files; ``after`` is what else each step does."""
    extra = [*after, "", "", ""]
    check = Step("check", "echo checking", "", 100)
    return Plan("deploy", (check, *(change(n, extra[n - 1]) for n in (1, 2, 3))))


@dataclass
class World(Bench):
    """A bench with ``count`` files, which are ``start`` at first. ``tick``: what its scripts take for a
    second, in seconds."""

    killing: str = "runner"
    count: int = 3
    tick: str = "0.1"

    def __post_init__(self) -> None:
        super().__post_init__()
        for number in range(1, self.count + 1):
            (self.home / f"file{number}").write_text("start\n")
        self.scripts, self.points = points(self.killing)

    def each(self) -> tuple[str, ...]:
        """What each file says."""
        return tuple((self.home / f"file{n}").read_text().strip() for n in range(1, self.count + 1))

    def files(self) -> str:
        """What all files say, or each of them when they differ."""
        said = self.each()
        return said[0] if len(set(said)) == 1 else " ".join(said)

    def request(
        self, verb: runner.Verb, words: object, values: Mapping[str, str | int], plan: Plan | None = None
    ) -> runner.Request:
        kit = {**contents(values, plan), **self.scripts}
        for name, old, new in QUICK:
            kit[name] = kit[name].replace(old, new.replace("0.1", self.tick))
        return wrap(verb, words, pack(kit))  # type: ignore[arg-type]

    def kill_at(self, point: str) -> None:
        """The next runner dies there; an empty point: none does."""
        self.environ["KILL_AT"] = point
