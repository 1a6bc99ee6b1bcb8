"""The measurement of docs/migrations.md works, and its table has every rule."""

import os
import re
import subprocess
import sys
from pathlib import Path

import judge

ROOT = Path(__file__).parent.parent
MIGRATION = """
import sqlalchemy as sa
from alembic import op
from nowhere.models import LENGTH, Money

revision, down_revision = "{0}", None


def upgrade():
    print("not on the screen")
    op.add_column("t", sa.Column("a", Money(), sa.ForeignKey("u.id")))
    op.add_column("t", sa.Column("b", sa.String(LENGTH)))
    {1}
"""


def test_a_history_is_judged(tmp_path: Path) -> None:
    (tmp_path / "1.py").write_text(MIGRATION.format(1, "op.execute('DROP VIEW v')"))
    (tmp_path / "2.py").write_text(MIGRATION.format(2, "op.get_bind().execute('DROP TABLE t').all()"))
    (tmp_path / "other.py").write_text("raise ValueError")
    words = [sys.executable, "-m", "tests.histories", "--sample", "9", str(tmp_path)]
    search = {**os.environ, "PYTHONPATH": str(ROOT / "deploy" / "server")}
    done = subprocess.run(words, cwd=ROOT, env=search, capture_output=True, text=True, check=True)
    _, _, row, *more = done.stdout.splitlines()
    assert re.sub(r"[\d.]+ ms", "", row) == f"| {tmp_path} | 2 | 1 |  | 0 | 1 | 2 | 1 | 1 | 1 |"
    assert "     1  danger   drop-table" in more
    assert more.count(f"{tmp_path}/1.py") == 3


def test_every_rule_is_in_the_table() -> None:
    text = (ROOT / "docs" / "migrations.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(.+?)`", row)} == set(judge.RULES)
