"""The server: each function turns its facts into findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from deploy.config import Target
from deploy.doctor.facts import Facts
from deploy.doctor.told import Told
from deploy.errors import BackstayError
from deploy.view import Finding

TOLD = Told("server")
Check = Callable[[Facts, Target], Iterator[Finding]]

#: Megabytes: below the first a deployment refuses, below the second a build may not fit.
_ROOM = {"checkout": (50, 200), "state": (50, 500), "docker": (300, 2000)}
_ROOM_VENV = {"checkout": (50, 200), "state": (300, 1000)}
_FEW_INODES = 5000
#: Megabytes of memory and swap that a build may well need.
_MEMORY = 400
_NETWORK = re.compile(r"nfs\d?|cifs|smb\w*|fuse\.\S+|9p|ceph|glusterfs|afs")
#: Seconds.
_CLOCK = 60
#: The first git that resolves a commit as `check` does (rev-parse --end-of-options).
_GIT = (2, 30)


def findings(facts: Facts, target: Target) -> list[Finding]:
    """What all checks of the server find."""
    return [finding for check in CHECKS for finding in check(facts, target)]


def judge_entry(error: BackstayError) -> Finding:
    """Why the server did not even begin to answer."""
    return TOLD.error("login", error.message, "Nothing else could be seen on the server.", error.hint)


def tools(facts: Facts, target: Target) -> Iterator[Finding]:
    """What the runner calls."""
    missing = facts.words("missing")
    if missing:
        yield TOLD.error(
            "tools",
            f"not installed: {', '.join(missing)}",
            "The runner works with them; nothing starts without.",
            "git is in the package git, flock and setsid are in util-linux, the others in coreutils.",
        )
    else:
        yield TOLD.ok("tools", facts.get("system") or "all there")


def git(facts: Facts, target: Target) -> Iterator[Finding]:
    """Its version."""
    found = re.search(r"(\d+)\.(\d+)[\d.]*", facts.get("git"))
    if not found:
        return
    if (int(found[1]), int(found[2])) < _GIT:
        yield TOLD.error(
            "git",
            f"git {found[0]} is too old",
            "Commits are resolved with an option that it does not know: each deployment is refused.",
            "Update it to 2.30 or newer.",
        )
    else:
        yield TOLD.ok("git", found[0])


def http(facts: Facts, target: Target) -> Iterator[Finding]:
    """What asks the health URL."""
    if not target.health.url:
        return
    if facts.get("http") and facts.get("health") == "no" and facts.get("lock") != "held":
        yield TOLD.warning(
            "health url",
            "it does not answer now, or not well",
            "A release that it does not answer after its restart counts as failed, and is undone.",
            "Where the application runs: look at url in [health], as the server itself would call it.",
        )
    elif facts.get("http"):
        yield TOLD.ok("health url", f"asked with {facts.words('http')[0]}")
    else:
        yield TOLD.error(
            "health url",
            "the server has no curl, python3 or wget to ask it with",
            "A restart then counts as failed, and is undone.",
            "  sudo apt install curl\nor leave url out of [health].",
        )


def checkout(facts: Facts, target: Target) -> Iterator[Finding]:
    """The checkout as a deployment wants it: on its branch, clean, nobody at work in it."""
    if facts.complaints.get("checkout"):
        yield from _complaints(facts, "checkout", "A deployment pulls there.")
        return
    if "branch" not in facts.answers:
        return
    found = [*_branch(facts, target), *_changes(facts, target)]
    yield from found or [TOLD.ok("checkout", f"{target.path} on {facts.get('branch')}, nothing changed")]


def _branch(facts: Facts, target: Target) -> Iterator[Finding]:
    on = facts.get("branch")
    if on == target.branch:
        return
    there = f"is on the branch {on}" if on else "is on no branch (detached HEAD)"
    other = f'\nor set branch = "{on}" in deploy.toml.' if on else ""
    yield TOLD.error(
        "checkout",
        f"{target.path} {there}, not on {target.branch}",
        "A deployment moves that branch forward, and refuses any other.",
        f"On the server:\n  git -C '{target.path}' checkout {target.branch}{other}",
    )


def _changes(facts: Facts, target: Target) -> Iterator[Finding]:
    changed = facts.words("changed")
    if changed:
        yield TOLD.error(
            "checkout",
            f"changed and not committed: {', '.join(changed[:3])}{' and more' if changed[3:] else ''}",
            "They would end up in the image, and no undo could bring them back: a deployment refuses.",
            f"Commit and push them; or put them away on the server:\n  git -C '{target.path}' stash",
        )
    lock = facts.get("index.lock")
    if lock:
        yield TOLD.error(
            "checkout",
            "another git is at work there, or one has died",
            "git itself refuses to go on beside it.",
            f"When no git is running on the server:\n  rm '{lock}'",
        )


def rights(facts: Facts, target: Target) -> Iterator[Finding]:
    """May git write wherever it has to?"""
    if "unwritable" not in facts.answers:
        return
    entries = facts.get("unwritable")
    user = facts.get("user")
    if not entries:
        yield TOLD.ok("rights", f"{user} may write the checkout")
        return
    yield TOLD.error(
        "rights",
        f"{user} may not write in the checkout: {entries}",
        "Somebody has worked there as another user, root say; a pull stops half-way.",
        f"On the server:\n  sudo chown -R {user} '{target.path}/.git'\n"
        "and the same for the other folders named.",
    )


def remote(facts: Facts, target: Target) -> Iterator[Finding]:
    """The way to the repository, and a token on it."""
    yield from _reached(facts, target)
    if facts.yes("remote.secret"):
        yield TOLD.warning(
            "remote",
            f"the URL of {target.remote} holds a password or token",
            "It stands in .git/config, in clear, for whoever can read the checkout.",
            "Use a deploy key:\n  ssh-keygen -t ed25519\n"
            f"  git remote set-url {target.remote} git@example.org:team/app.git",
        )
    if facts.get("lfs"):
        yield TOLD.error(
            "git lfs",
            "the repository has files in git LFS, and the server no git-lfs",
            "A pull brings pointers in place of the files, without an error.",
            "  sudo apt install git-lfs && git lfs install",
        )


def _reached(facts: Facts, target: Target) -> Iterator[Finding]:
    name, url, status = target.remote, facts.get("remote.url"), facts.get("remote.status")
    git, why = f"On the server:\n  git -C '{target.path}'", "A deployment begins with a fetch from there."
    if status == "0":
        yield TOLD.ok("remote", f"{name} has {target.branch} at {facts.get('remote.commit')[:7]}")
    elif status == "2":
        yield TOLD.error(
            "remote",
            f"{name} has no branch {target.branch}",
            why,
            "Push it; or set branch in deploy.toml to one that is there.",
        )
    elif status == "124":
        yield TOLD.error("remote", f"{url} does not answer within 30 s", why, f"{git} fetch {name}")
    elif status:
        yield TOLD.error(
            "remote",
            f"the server cannot read from {url}: {facts.get('remote.error')}",
            why,
            f"{git} fetch {name}\nA deploy key there lets it in, or in deploy.toml:\n  forward_agent = true",
        )
    elif "remote.url" in facts.answers and not url:
        yield TOLD.error("remote", f"the checkout has no remote {name}", why, f"{git} remote add {name} URL")


def disk(facts: Facts, target: Target) -> Iterator[Finding]:
    """Room for a build, for a backup, for records."""
    wanted = _ROOM if target.engine == "compose" else _ROOM_VENV
    found = [finding for name in wanted for finding in _room(facts, name, *wanted[name])]
    free = [int(free) for name in wanted if (free := (facts.words(f"disk.{name}") or [""])[0]).isdigit()]
    if not found and free:
        found = [TOLD.ok("disk", f"{min(free) / 1_000_000:.1f} GB free")]
    seen = set()
    for finding in found:
        if finding.what not in seen:
            seen.add(finding.what)
            yield finding


def _room(facts: Facts, name: str, least: int, enough: int) -> Iterator[Finding]:
    words, folder = facts.words(f"disk.{name}"), facts.get(f"folder.{name}")
    if not words or not words[0].isdigit():
        return
    free = int(words[0]) // 1024
    remedy = "Make room. Docker tells what it holds:\n  docker system df\n  docker image prune"
    if free < least:
        yield TOLD.error(
            "disk",
            f"{folder} has {free} MB free",
            f"A deployment refuses below {least} MB: its undo must never run out of disk.",
            remedy,
        )
    elif free < enough:
        yield TOLD.warning(
            "disk",
            f"{folder} has {free} MB free",
            "A build or a backup may not fit, and is then undone.",
            remedy,
        )
    if words[1:] and words[1].isdigit() and int(words[1]) < _FEW_INODES:
        yield TOLD.error(
            "disk",
            f"the disk of {folder} has {words[1]} inodes left",
            "No file can be made there soon, however many bytes are free.",
            "Remove what has many small files: old images, caches, mails.\n  df -i\n  docker system df",
        )


def records(facts: Facts, target: Target) -> Iterator[Finding]:
    """The folder of our records, and what stands in it."""
    folder = facts.get("folder.state")
    found = list(_state(facts, target, folder))
    yield from found or ([TOLD.ok("records", folder)] if folder else [])


def _state(facts: Facts, target: Target, folder: str) -> Iterator[Finding]:
    locked = facts.get("state.locked")
    if locked:
        yield TOLD.error(
            "records",
            f"{facts.get('user')} may not write to {locked}",
            "Each release keeps what its undo needs in there.",
            "Give that user the folder, or set state in deploy.toml to another one.",
        )
    other = facts.get("state.checkout")
    if other and other.rstrip("/") != target.path.rstrip("/") and target.path.startswith("/"):
        yield TOLD.error(
            "records",
            f"the records in {folder} are of another checkout, {other}",
            "An undo would be of the wrong application: a deployment refuses.",
            'Give this target records of its own in deploy.toml:\n  state = "~/.local/state/backstay/'
            f'{target.app}-{target.name}"',
        )
    yield from _mount(facts, target, folder)


def _mount(facts: Facts, target: Target, folder: str) -> Iterator[Finding]:
    kind, options = _mounted(facts, "state")
    if kind in ("tmpfs", "ramfs"):
        yield TOLD.error(
            "records",
            f"{folder} is in memory ({kind})",
            "After a reboot an interrupted release could not be undone: its records would be gone.",
            "Set state in deploy.toml to a folder on a disk.",
        )
    if target.engine == "venv" and "noexec" in options.split(","):
        yield TOLD.error(
            "records",
            f"nothing can be run from {folder}: it is mounted noexec",
            "The virtual environments are made in there.",
            "Set state in deploy.toml to another folder.",
        )
    for name in ("repository", "state"):
        kind, _ = _mounted(facts, name)
        if _NETWORK.fullmatch(kind):
            yield TOLD.warning(
                "lock",
                f"{facts.get(f'folder.{name}')} is on a network file system ({kind})",
                "Locks there may not hold: two could deploy at once, or nobody.",
                "Move it to a disk of the server.",
            )


def _mounted(facts: Facts, name: str) -> tuple[str, str]:
    words = facts.words(f"disk.{name}")
    return (words[2], words[3]) if len(words) > 3 else ("", "")


def releases(facts: Facts, target: Target) -> Iterator[Finding]:
    """A release that is at work, or that has no end."""
    lock, unfinished = facts.get("lock"), facts.get("state.unfinished")
    holder = f"{facts.get('lock.release')} of {facts.get('lock.by')}"
    if lock == "held":
        yield TOLD.warning(
            "releases",
            f"release {holder} is at work",
            "What is said of the server here may change under it.",
            "See it, and ask again afterwards:\n  fab attach",
        )
    elif lock == "foreign":
        yield TOLD.warning(
            "releases",
            f"release {holder} is at work, or was interrupted: its records belong to another user",
            "Until it has an end, nobody else can deploy.",
            "As that user:\n  fab status\n  fab recover",
        )
    elif unfinished or lock == "left":
        yield TOLD.error(
            "releases",
            f"release {unfinished or holder} was interrupted and is not undone yet",
            "The server is somewhere between two releases.",
            "  fab recover",
        )
    elif "state.unfinished" in facts.answers:
        yield TOLD.ok("releases", facts.get("state.current") or "none yet")


def memory(facts: Facts, target: Target) -> Iterator[Finding]:
    """What a build may use, before the kernel ends it."""
    sizes = {name: int(size) for name, size in re.findall(r"(\w+):(\d+)", facts.get("memory"))}
    if "MemAvailable" not in sizes:
        return
    free = (sizes["MemAvailable"] + sizes.get("SwapFree", 0)) // 1024
    if free < _MEMORY:
        yield TOLD.warning(
            "memory",
            f"{free} MB of memory and swap are free",
            "The kernel ends what takes too much, a build or the application itself (exit status 137).",
            "Add swap:\n  sudo fallocate -l 2G /swapfile && sudo chmod 600 /swapfile\n"
            "  sudo mkswap /swapfile && sudo swapon /swapfile",
        )
    else:
        yield TOLD.ok("memory", f"{free / 1000:.1f} GB free")


def clock(facts: Facts, target: Target) -> Iterator[Finding]:
    """The server's clock against ours."""
    if abs(facts.ahead) < _CLOCK:
        yield TOLD.ok("clock", f"{abs(facts.ahead):.0f} s apart")
        return
    way = "ahead of" if facts.ahead > 0 else "behind"
    yield TOLD.warning(
        "clock",
        f"the server's clock is {_span(abs(facts.ahead))} {way} ours",
        "Releases are named by the time here, backups kept by the time there; certificates seem out of date.",
        "Whichever is wrong, on Debian and Ubuntu:\n  sudo timedatectl set-ntp true",
    )


def _span(seconds: float) -> str:
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def logind(facts: Facts, target: Target) -> Iterator[Finding]:
    """Whether a deployment outlives its connection."""
    text, user = facts.get("logind"), facts.get("user")
    if not text:
        return
    # As busctl prints them: three values in the order asked for; or lines of logind.conf.
    values = re.match(r"b (true|false) as \d+ ?(.*?) ?as \d+ ?(.*)", text)
    if values:
        kills, excluded, only = values[1] == "true", values[2], values[3]
    else:
        kills = bool(re.search(r"KillUserProcesses=(yes|true|1|on)\b", text, re.IGNORECASE))
        excluded = " ".join(re.findall(r"KillExcludeUsers=(.*?)(?= Kill|$)", text)) or "root"
        only = " ".join(re.findall(r"KillOnlyUsers=(.*?)(?= Kill|$)", text))
    listed = only.replace('"', " ").split()
    if kills and user not in excluded.replace('"', " ").split() and (not listed or user in listed):
        yield TOLD.error(
            "logind",
            f"the server ends all that {user} leaves running at logout (KillUserProcesses)",
            "A deployment would die half-way when the connection is lost, and its undo with it.",
            f"In /etc/systemd/logind.conf:\n  KillExcludeUsers=root {user}\n"
            "then\n  sudo systemctl restart systemd-logind",
        )
    else:
        yield TOLD.ok("logind", "leaves running what was started")


def greeting(facts: Facts, target: Target) -> Iterator[Finding]:
    """What the login shell says before any command."""
    if not facts.greeting:
        return
    first = facts.greeting.splitlines()[0][:60]
    yield TOLD.warning(
        "login shell",
        f"it prints before every command: {first!r}",
        "backstay skips it; scp, rsync and git over SSH break on it.",
        "In ~/.bashrc or the like there, before what prints:\n  case $- in *i*) ;; *) return ;; esac",
    )


def docker(facts: Facts, target: Target) -> Iterator[Finding]:
    """Docker answers this user, and is Docker."""
    yield from _complaints(facts, "docker", "The application runs in it.")
    if facts.yes("docker.podman"):
        yield TOLD.warning(
            "docker",
            "docker is Podman here",
            "Its Compose leaves out conditions and names images in other ways: an undo may not find its own.",
            "Install Docker Engine, or try every failure on a copy of the server first.",
        )
    elif facts.get("docker"):
        yield TOLD.ok("docker", facts.get("docker") + (", with sudo" if facts.yes("docker.sudo") else ""))


def compose(facts: Facts, target: Target) -> Iterator[Finding]:
    """Compose, and what is known to be broken in it."""
    yield from _complaints(facts, "compose", "The application is started by it.")
    version = _version(facts.get("compose"))
    if not version or facts.complaints.get("compose"):
        return
    found = [*_known_bugs(version), *_buildx(version, _version(facts.get("buildx")))]
    yield from found or [TOLD.ok("compose", facts.get("compose"))]


def _known_bugs(version: tuple[int, ...]) -> Iterator[Finding]:
    name = ".".join(map(str, version))
    if version < (1, 28):
        yield TOLD.error(
            "compose",
            f"Compose {name} knows no profiles",
            "The migration service's would be an error, and `condition` under depends_on is not waited for.",
            "  sudo apt install docker-compose-plugin",
        )
    elif version < (2,):
        yield TOLD.warning(
            "compose",
            f"Compose {name} is the old one, without updates since 2023",
            "It cannot restart containers on Docker 25 and newer: an update of Docker ends all deployments.",
            "  sudo apt install docker-compose-plugin",
        )
    elif version[:2] == (2, 5):
        yield TOLD.warning(
            "compose",
            f"Compose {name} may not recreate a service alone",
            '`up --no-deps --force-recreate` ends in "no such service" where it has links (issue 9427).',
            "Update it:\n  sudo apt install docker-compose-plugin",
        )
    elif version == (2, 32, 0):
        yield TOLD.warning(
            "compose",
            f"Compose {name} recreates containers that did not change",
            "The database would be restarted by whoever runs it by hand; mended in 2.32.1 (issue 12388).",
            "Update it:\n  sudo apt install docker-compose-plugin",
        )


def _buildx(version: tuple[int, ...], buildx: tuple[int, ...]) -> Iterator[Finding]:
    if version >= (2, 40, 2) and buildx and buildx < (0, 17):
        yield TOLD.error(
            "compose",
            f"buildx {'.'.join(map(str, buildx))} is too old for Compose {'.'.join(map(str, version))}",
            '`compose build` stops with "requires buildx 0.17 or later".',
            "  sudo apt install docker-buildx-plugin",
        )


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups("0")) if found else ()


def python(facts: Facts, target: Target) -> Iterator[Finding]:
    """The Python of the venv engine."""
    yield from _complaints(facts, "python", "The application's environment is made with it.")
    if facts.get("python") and not facts.complaints.get("python"):
        yield TOLD.ok("python", facts.get("python"))


def backup(facts: Facts, target: Target) -> Iterator[Finding]:
    """The database's own tools, where a backup is made with the server's."""
    yield from _complaints(
        facts, "backup", "Before a migration comes a backup: without one nothing is applied."
    )
    if facts.get("backup") == "ready" and not facts.complaints.get("backup"):
        yield TOLD.ok("backup", "the database's tools are there")


def _complaints(facts: Facts, check: str, why: str) -> Iterator[Finding]:
    for complaint in facts.complaints.get(check, ()):
        yield TOLD.error(check, complaint.text, why, complaint.remedy)


CHECKS: tuple[Check, ...] = (
    tools,
    git,
    docker,
    compose,
    python,
    backup,
    checkout,
    rights,
    remote,
    releases,
    records,
    disk,
    memory,
    clock,
    logind,
    http,
    greeting,
)
