"""`fab plan`: what a deployment would bring, asked of the application's own Alembic, and nothing touched."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import time
from pathlib import Path
from shutil import copy

from deploy import view
from tests.apps import migrations
from tests.apps.history import git
from tests.apps.migrations import Migration
from tests.apps.tree import Tree, replace

from .site import Outcome, Site

#: Run for real it would empty the table; the application's own connection must not be had either.
ASKS = Migration(
    "asks",
    "# backstay: allow squawk-ban-drop-view: nobody looks\n"
    "n = op.get_bind().execute(sa.text('select 1')).scalar()\nop.execute('DELETE FROM users')",
)
CONNECTS = Migration(
    "connects",
    'with sa.create_engine(os.environ["DATABASE_URL"]).begin() as own:\n'
    '    own.execute(sa.text("DELETE FROM users"))',
)


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All of the checkout but git's own, with times."""
    found = (file for file in folder.rglob("*") if file.is_file() and ".venv" not in file.parts)
    kept = (file for file in found if ".git" not in file.parts or file.name in ("index", "HEAD"))
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in kept}


def shown(forecast: view.Forecast) -> str:
    out = io.StringIO()
    view.show_forecast(forecast, out, {})
    return out.getvalue()


def test_what_arrives(site: Site) -> None:
    # The look at the site comes first: its `git status` may write the index anew.
    picture = site.picture()
    before = files(site.path), picture
    nothing = site.plan()
    assert (nothing.nothing, nothing.heads, nothing.stops) == (True, ("002",), ())
    assert shown(nothing).splitlines()[-1].startswith("Nothing to do")

    site.app.release("Avatars", migrations=[migrations.AVATAR_URL, migrations.RAISING_DOWNGRADE])
    site.app.release("More", migrations=[ASKS, CONNECTS])
    found = site.plan()
    assert (found.before, found.after) == (before[1].commit, site.app.head)
    assert [(each.author, each.subject) for each in found.commits] == [
        ("Developer", "More"),
        ("Developer", "Avatars"),
    ]
    assert ("A", "backend/migrations/versions/003_add_avatar_url.py") in found.changed
    assert (found.heads, found.code, found.stops, found.unreadable) == (("002",), ("006",), (), "")
    avatar, raising, asks, connects = found.revisions
    assert (avatar.id, avatar.title, avatar.down) == ("003", "add avatar url", ("002",))
    assert avatar.path == "backend/migrations/versions/003_add_avatar_url.py"
    assert avatar.up.sql == ("ALTER TABLE users ADD COLUMN avatar_url VARCHAR;",)
    assert avatar.undo.sql == ("ALTER TABLE users DROP COLUMN avatar_url;",)
    assert avatar.undoable == "loses data"
    assert raising.undoable == "no"
    assert (raising.undo.sql, "no way back" in raising.undo.trouble) == (None, True)
    assert (asks.up.sql, "DELETE FROM users" in asks.up.source) == (None, True)
    assert found.dangers == ("005", "006")
    assert (connects.allows, asks.allows) == ((), (("squawk: ban-drop-view", "nobody looks"),))
    assert (connects.up.sql, connects.up.trouble) == (None, "it connects by itself")
    assert "(cd backend && alembic upgrade head)" in found.commands
    assert "DANGER" in shown(found)
    assert max(len(line) for line in shown(found).splitlines() if not line.startswith("  ")) < 80

    # Nothing was touched: no file, no row, not the index, and nothing was left behind.
    assert (files(site.path), site.picture()) == before
    out = io.StringIO()
    view.show_forecast(found, out, {}, as_json=True)
    said = json.loads(out.getvalue())
    assert said["dangers"] == ["005", "006"]
    assert said["revisions"][0]["up"]["sql"] == list(avatar.up.sql)


def edited(tree: Tree, new: str = "def upgrade() -> None:\n    pass\n") -> None:
    replace(tree.versions / "001_initial.py", "def upgrade() -> None:\n", new)


def commented(tree: Tree) -> None:
    edited(tree, "def upgrade() -> None:\n    # said better\n")


def renamed(tree: Tree) -> None:
    (tree.versions / "001_initial.py").rename(tree.versions / "001_first.py")


def removed(tree: Tree) -> None:
    (tree.versions / "001_initial.py").unlink()
    replace(tree.versions / "002_comments.py", 'down_revision = "001"', "down_revision = None")


def twice(tree: Tree) -> None:
    copy(tree.versions / "002_comments.py", tree.versions / "002_again.py")


def several_heads(tree: Tree) -> None:
    text = migrations.add_table("tags").render("900", ("001",))
    (tree.versions / "900_tags.py").write_text(text)


HARD = {
    edited: "001_initial.py was edited",
    renamed: "001_initial.py was renamed to 001_first.py",
    removed: "001_initial.py was removed",
    twice: "002_again.py, 002_comments.py",
    several_heads: "`alembic upgrade head` fails",
}


def back_to(site: Site, commit: str) -> None:
    git(site.app.work, "reset", "--quiet", "--hard", commit)
    git(site.app.work, "push", "--quiet", "--force", "origin", "main")


def test_what_would_be_refused(site: Site) -> None:
    deployed = site.app.head
    # A branch that was rewritten, on a server where somebody edits files.
    site.app.release("Goes")
    assert site.deploy().exit == 0
    back_to(site, deployed)
    site.app.release("Comes", version="other")
    found = site.plan()
    assert [each.subject for each in found.commits] == ["Comes"]
    assert [each.subject for each in found.gone] == ["Goes"]
    assert "was rewritten" in found.stops[0].text
    (site.path / "backend" / "models.py").write_text("")
    found = site.plan()
    assert "not committed: backend/models.py" in found.stops[0].text
    assert "The branch was rewritten: commits that go (1)" in shown(found)


def refused(site: Site, words: str, **more: str) -> Outcome:
    def look() -> object:
        # Git's notes on the files' times may be written anew.
        return {k: v for k, v in files(site.path).items() if not k.endswith("/index")}, site.picture()

    before = look()
    outcome = site.deploy(**more)
    assert (outcome.outcome, outcome.exit) == ("refused", 2), outcome
    assert words in outcome.notes, outcome
    assert look() == before
    return outcome


def test_a_deployment_is_refused_before_anything_is_touched(site: Site) -> None:
    deployed, release = site.app.head, site.current
    for change, words in HARD.items():
        site.app.release(mutate=change)
        refused(site, words, consent="yes")
        if change is edited:
            assert words in site.plan().stops[0].text
        back_to(site, deployed)

    # An edit that somebody pulled and migrated by hand: what is deployed has it, the last release has not.
    site.app.release(mutate=edited)
    git(site.path, "pull", "--quiet")
    site.app.release()
    refused(site, "001_initial.py was edited")
    back_to(site, deployed)
    git(site.path, "reset", "--quiet", "--hard", deployed)

    site.app.release(migrations=[migrations.AVATAR_URL])
    assert site.deploy().exit == 0
    site.app.release(mutate=commented)
    assert site.deploy().exit == 0
    # Migrations that do not change are not looked at.
    site.app.release()
    assert site.deploy().exit == 0
    assert not (site.state / "releases" / site.current / "facts" / "probe.plan").exists()
    assert site.current != release


def test_danger_needs_consent(site: Site) -> None:
    site.app.release(migrations=[migrations.AVATAR_URL])
    assert site.deploy().exit == 0
    site.app.release(migrations=[migrations.DROP_AVATAR_URL])
    outcome = refused(site, "004: drop-column users.avatar_url")
    assert outcome.facts["danger"] == site.app.head
    # Consent to one commit is none to another.
    refused(site, "drop-column", consent=site.app.head[:-1] + "0")
    agreed = outcome.facts["danger"]
    site.app.release()
    refused(site, "drop-column", consent=agreed)
    done = site.deploy(ref=agreed, consent=agreed)
    assert (done.exit, done.facts["applied"], done.facts["commit.after"]) == (0, "004", agreed), done
    assert "agreed to" in done.notes
    allowed = Migration(
        "allowed", 'op.drop_table("comments")  # backstay: allow drop-table: nobody reads them any more'
    )
    site.app.release(migrations=[allowed])
    assert site.deploy().exit == 0
    check_a_long_history(site)


LONG = """
op.create_table("long_{0}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(80)))
op.create_index("ix_long_{0}", "long_{0}", ["name"])
op.add_column("users", sa.Column("long_{0}", sa.Integer, server_default="0", nullable=False))
op.execute("UPDATE users SET long_{0} = 1 WHERE id IN (SELECT id FROM long_{0})")
"""


def long(tree: Tree) -> None:
    for at in range(200):
        back = f'op.drop_column("users", "long_{at}")\nop.drop_table("long_{at}")'
        name, before = f"{1000 + at}", "005" if at == 0 else f"{999 + at}"
        text = Migration(f"long_{at}", LONG.format(at), back).render(name, (before,))
        (tree.versions / f"{name}.py").write_text(text)


def check_a_long_history(site: Site) -> None:
    """Alembic's own `--sql`, and not more than twice its time on top: less than 2 seconds."""
    site.app.release(mutate=long)
    alembic = [site.link.resolve() / "bin" / "alembic", "upgrade", "head", "--sql"]
    environ = {**os.environ, "DATABASE_URL": "sqlite:///nowhere"}
    plan = sql = math.inf
    # On a busy machine one time alone says little.
    for _ in range(5):
        began = time.perf_counter()
        assert len(site.plan().revisions) == 200
        planned = time.perf_counter()
        subprocess.run(alembic, cwd=site.app.work / "backend", env=environ, check=True, capture_output=True)
        plan, sql = min(plan, planned - began), min(sql, time.perf_counter() - planned)
        if plan < 3 * sql:
            return
    raise AssertionError(f"a plan takes {plan:.1f} s, and alembic --sql {sql:.1f} s")
