"""The application as Compose runs it: each function turns facts into findings."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from deploy.config import Target
from deploy.doctor import migrations
from deploy.doctor.facts import Facts
from deploy.doctor.model import Service, Words, services, words
from deploy.doctor.told import Told
from deploy.view import Finding

TOLD = Told("application")

_SHELLS = {"sh", "dash", "ash"}
_DATABASE = re.compile(
    r"(?:.*/)?(postgres|postgresql|postgis|timescaledb\S*|pgvector|mysql|mariadb)(?=[:@]|$)"
)
_EXEC = re.compile(r"(?:^|[;&|({]|\bthen\b|\belse\b|\bdo\b)\s*exec\s+[^\s<>&\d]", re.MULTILINE)


@dataclass(frozen=True)
class Application:
    """What is known of it. ``services`` is empty where there is no Compose, or its file does not load."""

    facts: Facts
    target: Target

    @cached_property
    def services(self) -> dict[str, Service]:
        return services(self.facts.texts.get("config", ""))

    @property
    def main(self) -> list[Service]:
        """The services that a deployment builds and restarts, with what their images say."""
        names = self.target.compose.services
        return [self.with_image(self.services[name]) for name in names if name in self.services]

    @property
    def migration(self) -> Service | None:
        """The migration service, where it is one of its own."""
        name = self.target.migrate.service
        own = self.target.migrate.enabled and name not in self.target.compose.services
        return self.services.get(name) if own else None

    def with_image(self, service: Service) -> Service:
        """The service with the command and the health check of its image filled in."""
        try:
            image = json.loads(self.facts.texts.get(f"image:{service.name}", "{}"))
        except ValueError:
            return service
        command = service.command
        if command is None and service.entrypoint is None:
            command = words(image.get("command"))
        entrypoint = words(image.get("entrypoint")) if service.entrypoint is None else service.entrypoint
        test = (image.get("health") or {}).get("Test") or ["NONE"]
        health = service.health or test[0] != "NONE"
        return replace(service, command=command, entrypoint=entrypoint, health=health)

    def inside(self, path: str) -> str | None:
        """``path`` as it is called within the checkout; None when it is not in there."""
        root = self.facts.get("folder.checkout") or self.target.path
        relative = posixpath.relpath(path, root) if path.startswith("/") else path
        return None if relative.startswith("..") else relative

    def file(self, *parts: str) -> str | None:
        """The text of a tracked file of the checkout; None for one that was not sent."""
        return self.facts.texts.get(f"file:{posixpath.normpath(posixpath.join(*parts))}")

    def dockerfile(self, service: Service) -> str:
        """The text of what the service is built from; empty when it is not known."""
        folder = self.inside(service.context) if service.context else None
        return "" if folder is None else self.file(folder, service.dockerfile) or ""


Check = Callable[[Application], Iterator[Finding]]


def findings(facts: Facts, target: Target) -> list[Finding]:
    """What all checks of the application and its migrations find."""
    application = Application(facts, target)
    found = [finding for check in CHECKS for finding in check(application)]
    return found + migrations.findings(facts, target, _migrates(application))


def _migrates(app: Application) -> str:
    """The migration service's command, and the scripts of the repository that it calls."""
    service = app.with_image(app.migration) if app.migration else None
    words = (*(service.entrypoint or ()), *(service.command or ())) if service else ()
    called = {posixpath.basename(word) for line in words for word in line.split() if word.endswith(".sh")}
    scripts = [text for file, text in app.facts.texts.items() if posixpath.basename(file) in called]
    return "\n".join([" ".join(words), *scripts])


def compose_file(app: Application) -> Iterator[Finding]:
    """It loads, Compose can talk to Docker about it, and the services are in it."""
    said = app.facts.complaints.get("compose file", ())
    for complaint in said:
        yield TOLD.error(
            "compose file", complaint.text, "No service can be built or started.", complaint.remedy
        )
    if app.facts.get("compose.talks"):
        yield TOLD.error(
            "compose file",
            f"Compose cannot ask Docker about it: {app.facts.get('compose.talks')}",
            "Nothing can be built or started so.",
            "When the client is too old for the server, update Compose:\n  sudo apt install "
            "docker-compose-plugin",
        )
    if said or not app.services:
        return
    yield from _named(app) or [TOLD.ok("compose file", f"{len(app.services)} services")]


def _named(app: Application) -> list[Finding]:
    wanted = {name: f'services = ["{name}"] in [compose]' for name in app.target.compose.services}
    if app.target.migrate.enabled:
        wanted.setdefault(
            app.target.migrate.service, f'service = "{app.target.migrate.service}" in [migrate]'
        )
    return [
        TOLD.error(
            "compose file",
            f"it has no service {name}",
            f"deploy.toml says {key}, or has it by default.",
            f"It has {', '.join(sorted(app.services))}: set that key to one of them.",
        )
        for name, key in wanted.items()
        if name not in app.services
    ]


def stop_signal(app: Application) -> Iterator[Finding]:
    """A shell as the first process ignores SIGTERM: each restart waits ten seconds, then kills."""
    for service in app.main:
        where = _swallowed(app, service)
        if where:
            yield TOLD.warning(
                "stop signal",
                f"{service.name}: {where[0]}",
                "The shell is the container's first process and ignores the stop signal: each "
                "restart waits for 10 s, "
                "and then kills what runs in the middle of its requests.",
                where[1],
            )
        elif service.command or service.entrypoint:
            yield TOLD.ok("stop signal", f"reaches {service.name}")


def _swallowed(app: Application, service: Service) -> tuple[str, str] | None:
    """What keeps the signal from the program, and the remedy."""
    first = (*(service.entrypoint or ()), *(service.command or ()))
    # An init of its own ends with the shell; on Alpine the shell makes room for its last command.
    if not first or service.init or re.search(r"^FROM\s+\S*alpine", app.dockerfile(service), re.M | re.I):
        return None
    if posixpath.basename(first[0]) in _SHELLS and len(first) > 2 and re.fullmatch(r"-[a-z]*c", first[1]):
        return _of_line(first[2])
    return _of_script(app, first)


def _of_line(line: str) -> tuple[str, str] | None:
    if _EXEC.search(line):
        return None
    last = re.split(r"&&|\|\||[;\n]", line.strip().rstrip(";"))[-1].split()
    program = last[0] if last else "the program"
    return (
        f"{program} is started by a shell that stays before it",
        f'Write exec before it in its command:\n  sh -c "… exec {program} …"\n'
        f'or, in the Dockerfile, its words:\n  CMD ["{program}", …]',
    )


def _of_script(app: Application, first: Words) -> tuple[str, str] | None:
    """For a script of the repository that a shell runs."""
    script = next((word for word in first[:2] if word.endswith(".sh") or "entrypoint" in word), "")
    name = posixpath.basename(script)
    found = [
        (file.removeprefix("file:"), text)
        for file, text in app.facts.texts.items()
        if name and posixpath.basename(file.removeprefix("file:")) == name
    ]
    for file, text in found[:1]:
        if text.startswith("#!") and not re.match(r"#!.*\bd?a?sh\b|#!.*\bbash\b", text):
            return None
        if not _EXEC.search(text):
            return f"{file} never gives its place to the program", 'End it with:\n  exec "$@"'
    return None


def container_name(app: Application) -> Iterator[Finding]:
    """Only one container can have a name."""
    for service in app.main:
        if service.container_name:
            yield TOLD.warning(
                "container_name",
                f"{service.name} is always called {service.container_name}",
                "Two cannot run side by side: no second copy for load, and a gap in each restart. A "
                "second checkout on "
                "this server, a staging one say, cannot start at all.",
                f"Leave out of the compose file:\n  container_name: {service.container_name}",
            )


def health_check(app: Application) -> Iterator[Finding]:
    """How a deployment knows that the application works."""
    if app.target.health.url and app.main:
        yield TOLD.ok("health check", "url in [health]")
        return
    for service in app.main[:1]:
        if service.health:
            yield TOLD.ok("health check", f"of {service.name}")
        else:
            yield TOLD.warning(
                "health check",
                f"nothing asks {service.name} whether it works",
                f"A release that starts, accepts connections and stays up for {app.target.health.settle:g} s "
                "counts as good, whatever it answers, and is not undone.",
                'In deploy.toml:\n  [health]\n  url = "http://127.0.0.1:8000/health"\n'
                f"or a healthcheck of the service {service.name} in the compose file.",
            )


def migration_service(app: Application) -> Iterator[Finding]:
    """It runs once a deployment, and never by itself."""
    service = app.migration
    if service is None:
        return
    found = []
    if not service.profiles:
        found.append(
            TOLD.warning(
                "migration",
                f"{service.name} has no profile, so each `docker compose up` runs it",
                "After a rollback, somebody's `up` or a dependency on it applies again what was just undone.",
                f"In the compose file, under {service.name}:\n  profiles: [migrate]",
            )
        )
    if service.restart in ("always", "unless-stopped"):
        found.append(
            TOLD.warning(
                "migration",
                f"{service.name} has restart: {service.restart}",
                "Once started by an `up` it runs over and over, and after each boot of the server.",
                f'In the compose file, under {service.name}:\n  restart: "no"',
            )
        )
    yield from found or [TOLD.ok("migration", service.name)]


def mounted_code(app: Application) -> Iterator[Finding]:
    """What is mounted over the image's code is what runs, whatever image it is."""
    folders = app.facts.texts.get("python.folders")
    if folders is None:
        return
    known = [posixpath.normpath(line or ".") for line in folders.splitlines()]
    for service in [*app.main, *filter(None, [app.migration])]:
        for mount in service.mounts:
            inside = app.inside(mount.source) if mount.kind == "bind" else None
            if inside is not None and any(
                f"{folder}/".startswith(f"{inside}/") or inside == "." for folder in known
            ):
                yield TOLD.warning(
                    "mounted code",
                    f"{service.name} has {'the checkout' if inside == '.' else inside} mounted at "
                    f"{mount.target}",
                    "The files of the checkout run in place of those that were built: a pull changes "
                    "what is running, "
                    "and the old image comes back with the new code in it.",
                    "Leave the mount to a compose file for development (compose.override.yml, not on "
                    "the server).",
                )


def databases(app: Application) -> Iterator[Finding]:
    """A database's image, its volume, and who reaches it."""
    for service in app.services.values():
        found = _DATABASE.match(service.image)
        if found and not service.context:
            yield from list(_database(service, found[1])) or [TOLD.ok("database", service.image)]


def _database(service: Service, kind: str) -> Iterator[Finding]:
    tag = service.image.rsplit("/", 1)[-1].partition(":")[2]
    if "@" not in service.image and tag in ("", "latest"):
        yield TOLD.warning(
            "database",
            f"{service.name} runs {service.image}, whichever version that is today",
            "The next pull brings a new major version, which does not start on the old one's files.",
            f"Name the version that runs now, for example:\n  image: {service.image.partition(':')[0]}:16",
        )
    data = "/var/lib/mysql" if kind in ("mysql", "mariadb") else "/var/lib/postgresql/data"
    above = data.removesuffix("/data")
    if not any(mount.source and f"{mount.target}/".startswith(f"{above}/") for mount in service.mounts):
        yield TOLD.warning(
            "database",
            f"{service.name} has no volume of its own for {data}",
            "Its data are in the container alone, and go with it: `docker compose down` removes it.",
            f'Back it up first; then, under {service.name}:\n  volumes: ["db-data:{data}"]',
        )
    if any(address in ("", "0.0.0.0", "::", "[::]") for address in service.published):
        yield TOLD.warning(
            "database",
            f"{service.name} can be reached from outside the server",
            "Docker opens published ports past the firewall's own rules (ufw): all the internet may "
            "try passwords.",
            'Leave ports out, or bind them to the server itself:\n  ports: ["127.0.0.1:5432:5432"]',
        )


def build_context(app: Application) -> Iterator[Finding]:
    """What `COPY .` takes along."""
    seen = set()
    for service in app.main:
        folder, text = app.inside(service.context) if service.context else None, app.dockerfile(service)
        if folder is None or not text or (folder, service.dockerfile) in seen:
            continue
        seen.add((folder, service.dockerfile))
        rules = app.file(folder, f"{service.dockerfile}.dockerignore")
        rules = app.file(folder, ".dockerignore") if rules is None else rules
        if not re.search(r"^\s*(COPY|ADD)\s+(--\S+\s+)*\[?\"?\./?[\s\",]", text, re.M | re.I):
            yield TOLD.ok("build context", f"{service.dockerfile} copies what it names")
        elif rules is None:
            yield TOLD.warning(
                "build context",
                f"{service.dockerfile} copies everything, and there is no .dockerignore",
                "The history in .git and the passwords in .env end up in the image, for whoever gets it.",
                f"A file {posixpath.normpath(posixpath.join(folder, '.dockerignore'))} with:\n  "
                ".git\n  .env\n  .venv",
            )
        elif _lets_in(rules):
            yield TOLD.warning(
                "build context",
                f"{service.dockerfile} copies everything, {' and '.join(_lets_in(rules))} too",
                "History and passwords end up in the image, for whoever gets it.",
                "In .dockerignore:\n" + "\n".join(f"  {name}" for name in _lets_in(rules)),
            )
        else:
            yield TOLD.ok("build context", ".dockerignore")


def _lets_in(rules: str) -> list[str]:
    """Which of what must stay out the rules do not name."""
    lines = {line.strip().lstrip("/").removeprefix("**/") for line in rules.splitlines()}
    if lines & {"*", "**", ".*"}:
        return []
    named = {line.rstrip("/*") for line in lines}
    return [name for name in (".git", ".env") if name not in named]


def env_files(app: Application) -> Iterator[Finding]:
    """Files of secrets: out of git, for their owner alone, and read as they were meant."""
    if "env.dollar" not in app.facts.answers and "tracked.env" not in app.facts.answers:
        return
    yield from list(_env_files(app)) or [TOLD.ok("env files", "kept apart")]


def _env_files(app: Application) -> Iterator[Finding]:
    facts = app.facts
    tracked = facts.words("tracked.env")
    if tracked:
        yield TOLD.warning(
            "env files",
            f"{', '.join(tracked)} {'is' if len(tracked) == 1 else 'are'} committed to git",
            "Passwords in there are in every clone and in the history; a pull may overwrite the "
            "server's own.",
            f"  git rm --cached {' '.join(tracked)}\nThen name it in .gitignore, and change the passwords.",
        )
    readable = facts.words("env.open")
    if readable:
        yield TOLD.warning(
            "env files",
            f"{', '.join(readable)} can be read by every user of the server",
            "So can the passwords in there.",
            "On the server:\n"
            + "\n".join(f"  chmod 600 '{posixpath.join(app.target.path, name)}'" for name in readable),
        )
    dollars = facts.words("env.dollar")
    if dollars and facts.get("compose")[:1] not in ("", "1"):
        yield TOLD.warning(
            "env files",
            f"a $ in a value stands for a variable that is not set: {', '.join(map(_place, dollars[:3]))}",
            "Compose v2 puts nothing in its place: the application gets half a password.",
            "Put such a value in single quotes, or write $$ for $.",
        )


def _place(text: str) -> str:
    file, line, name = (*text.split(":"), "", "")[:3]
    return f"{name} ({file}:{line})"


CHECKS: tuple[Check, ...] = (
    compose_file,
    health_check,
    stop_signal,
    container_name,
    migration_service,
    mounted_code,
    databases,
    build_context,
    env_files,
)
