"""The texts of what is written, from the templates in this package."""

from __future__ import annotations

from pathlib import Path

# Not importlib.resources: it takes longer to load than all that is read here.
_TEMPLATES = Path(__file__).parent / "templates"
#: What stands in for a host that was not said.
PLACEHOLDER = "deploy@server.example.org"


def template(name: str) -> str:
    """The text of a template, as it lies in the package."""
    return (_TEMPLATES / name).read_text("utf-8")


def alembic(*, imports: str, metadata: str, syspath: str, sequential: bool, sqlmodel: bool) -> dict[str, str]:
    """alembic.ini, env.py and script.py.mako, by name."""
    flags = {"sequential": sequential, "sqlmodel": sqlmodel}
    values = {"{imports}": imports, "{metadata}": metadata, "{syspath}": syspath}
    made = {}
    for name in ("alembic.ini", "env.py", "script.py.mako"):
        text = chosen(template(f"{name}.in"), flags)
        for mark, value in values.items():
            text = text.replace(mark, value)
        made[name] = text
    return made


def chosen(text: str, flags: dict[str, bool]) -> str:
    """``text`` without the lines between ``#if NAME`` and ``#end`` whose flag is off."""
    lines, on = [], True
    for line in text.splitlines(keepends=True):
        if line.startswith("#if "):
            on = flags[line.split()[1]]
        elif line.rstrip() == "#end":
            on = True
        elif on:
            lines.append(line)
    return "".join(lines)


def settings(*, app: str, host: str, path: str, branch: str, service: str, migrate: str) -> str:
    """deploy.toml: three lines, and what differs from the defaults."""
    todo = "" if host else "  # write here where your server is"
    lines = [f'app = "{app}"', f'host = "{host or PLACEHOLDER}"{todo}', f'path = "{path}"']
    if branch and branch != "main":
        lines.append(f'branch = "{branch}"')
    if service and service != "backend":
        lines += ["", "[compose]", f'services = ["{service}"]']
    if migrate and migrate != "db-migrate":
        lines += ["", "[migrate]", f'service = "{migrate}"']
    return "\n".join(lines) + "\n"
