"""The checks of the application's Alembic: texts in, findings out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import scaffold
from deploy.config import Target
from deploy.config.keys import Migrate
from deploy.doctor import migrations
from deploy.doctor.facts import Facts
from deploy.doctor.imports import reached
from tests.apps.variants import EXAMPLE

TARGET = Target(host="server.example.org", path="/opt/shop", name="production", app="shop")
ENV = """\
from alembic import context
from sqlalchemy import create_engine
from models import Base

config = context.config
target_metadata = Base.metadata


def run_migrations_offline():
    context.configure(url=url, target_metadata=target_metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online():
    with create_engine(url).connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"""
INI = "[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url =\n"
GOOD = Facts(
    answers={"models": "backend/models.py", "autocommit": ""},
    texts={
        "file:backend/alembic.ini": INI,
        "file:backend/migrations/env.py": ENV,
        "revisions": 'revision = "001"\ndown_revision = None\n'
        'revision: str = "002"\ndown_revision: str = "001"\n',
        "imports": "backend/migrations/env.py:from models import Base\nbackend/models.py:import "
        "sqlalchemy as sa\n",
    },
)
#: What is replaced in env.py, and what must then be said.
ENVS = {
    "relative": (
        "from models import Base",
        "from ..models import Base",
        "error",
        "imports relatively, from ..models",
    ),
    "percent": (
        "config = context.config\n",
        'config = context.config\nconfig.set_main_option("sqlalchemy.url", get_url())\n',
        "warning",
        "puts the URL into",
    ),
    "no metadata": ("target_metadata = Base.metadata", "target_metadata = None", "warning", "to None"),
    "offline connects": (
        "    context.configure(url=url, target_metadata=target_metadata, literal_binds=True)\n",
        "    connection = create_engine(url).connect()\n    context.configure(connection=connection)\n",
        "warning",
        "opens the database",
    ),
    "no literal binds": (", literal_binds=True", "", "warning", "no literal_binds"),
}
TEXTS = {
    "no ini": ("file:backend/alembic.ini", None, "error alembic.ini", "none in the repository"),
    "two inis": ("file:reports/alembic.ini", INI, "warning alembic.ini", "several"),
    "percent in ini": (
        "file:backend/alembic.ini",
        INI.replace("url =", "url = xxx://x:x%xx@x/x"),
        "error alembic.ini",
        "a single %",
    ),
    "two heads": (
        "revisions",
        'revision = "1"\ndown_revision = None\nrevision = "2"\ndown_revision = "1"\nrevision = '
        '"3"\ndown_revision = "1"\n',
        "error revisions",
        "2 heads: 2, 3",
    ),
    "twins": (
        "revisions",
        'revision = "1"\ndown_revision = None\nrevision = "2"\ndown_revision = "1"\nrevision = '
        '"2"\ndown_revision = "1"\n',
        "error revisions",
        "the revision id 2",
    ),
    "models not imported": (
        "imports",
        "backend/migrations/env.py:from database import Base\nbackend/database.py:import os\n",
        "warning env.py",
        "the models in backend/models.py",
    ),
}
FINE = {
    "percent doubled": ("file:backend/alembic.ini", INI.replace("url =", "url = xxx://x:x%%xx@x/x")),
    "merged": (
        "revisions",
        'revision = "1"\ndown_revision = None\nrevision = "2"\ndown_revision = "1"\nrevision = "3"\n'
        'down_revision = "1"\nrevision = "4"\ndown_revision = ("2", "3")\n',
    ),
    "lines that go on": (
        "revisions",
        'revision = "1"\ndown_revision = (\nrevision = "2"\ndown_revision = None\n',
    ),
    "models through others": (
        "imports",
        "backend/migrations/env.py:from app.db.base import Base\n"
        "backend/app/db/base.py:from models import User\nbackend/models.py:import sqlalchemy\n",
    ),
    "models found at run time": ("imports", "backend/migrations/env.py:import pkgutil\n"),
    "an env.py of something else": ("file:tools/env.py", "from . import x\n"),
    "a masked env.py": ("file:backend/migrations/env.py", ENV + "url = ***\n"),
}


def bad(facts: Facts, target: Target = TARGET) -> list[tuple[str, str]]:
    found = [one for one in migrations.findings(facts, target) if one.level != "ok"]
    assert all(one.why and one.remedy for one in found), found
    return [(f"{one.level} {one.check}", one.what) for one in found]


def with_text(name: str, text: str | None) -> Facts:
    texts = {key: value for key, value in {**GOOD.texts, name: text}.items() if value is not None}
    return replace(GOOD, texts=texts)


def test_good_migrations_are_ok() -> None:
    assert bad(GOOD) == []
    assert {one.check for one in migrations.findings(GOOD, TARGET)} == {"alembic.ini", "env.py", "revisions"}


@pytest.mark.parametrize("name", ENVS)
def test_each_fault_of_env_py_is_found_alone(name: str) -> None:
    old, new, level, words = ENVS[name]
    assert old in ENV
    [(found, what)] = bad(with_text("file:backend/migrations/env.py", ENV.replace(old, new)))
    assert found == f"{level} env.py"
    assert words in what


@pytest.mark.parametrize("name", TEXTS)
def test_each_fault_of_other_files_is_found_alone(name: str) -> None:
    file, text, check, words = TEXTS[name]
    [(found, what)] = bad(with_text(file, text))
    assert found == check
    assert words in what


@pytest.mark.parametrize("name", FINE)
def test_what_looks_like_a_fault_and_is_none(name: str) -> None:
    assert bad(with_text(*FINE[name])) == []


def test_a_percent_sign_that_is_there_is_an_error() -> None:
    old, new, _, _ = ENVS["percent"]
    facts = with_text("file:backend/migrations/env.py", ENV.replace(old, new))
    assert bad(replace(facts, answers={**facts.answers, "env.percent": "yes"}))[0][0] == "error env.py"
    facts.texts["file:backend/migrations/env.py"] = ENV.replace(
        old, new.replace("get_url()", 'url.replace("%", "%%")')
    )
    assert bad(facts) == []


def test_autocommit_blocks_want_a_transaction_each() -> None:
    facts = replace(GOOD, answers={**GOOD.answers, "autocommit": "backend/migrations/versions/3.py"})
    [(found, what)] = bad(facts)
    assert found == "warning env.py"
    assert "3.py" in what
    facts.texts["file:backend/migrations/env.py"] += "# transaction_per_migration=True\n"
    assert bad(facts) == []


def test_without_migrations_nothing_is_said() -> None:
    facts = with_text("file:backend/alembic.ini", None)
    assert bad(facts, replace(TARGET, migrate=Migrate(enabled=False))) == []


def test_heads_may_be_wanted() -> None:
    facts = with_text(*TEXTS["two heads"][:2])
    assert bad(facts, replace(TARGET, migrate=Migrate(command=("alembic", "upgrade", "heads")))) == []
    assert migrations.findings(facts, TARGET, "sh -c alembic upgrade  heads")[-1].level == "ok"
    assert migrations.findings(facts, TARGET, "alembic upgrade head")[-1].level == "error"


def test_the_guides_env_py() -> None:
    """Word for word; it has four of these faults."""
    guide = """
from logging.config import fileConfig
from sqlalchemy import engine_from_config
from alembic import context
from ..models import Base
from ..database import SQLALCHEMY_DATABASE_URL

config = context.config
target_metadata = Base.metadata

def run_migrations_offline() -> None:
    configuration = config.get_section(config.config_ini_section)
    configuration["sqlalchemy.url"] = SQLALCHEMY_DATABASE_URL
    connectable = engine_from_config(configuration, prefix="sqlalchemy.")
    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()

if context.is_offline_mode():
    run_migrations_offline()
"""
    assert [words for _, words in bad(with_text("file:backend/migrations/env.py", guide))] == [
        "backend/migrations/env.py:5 imports relatively, from ..models",
        "backend/migrations/env.py:14 opens the database in offline mode",
    ]


def test_the_example_and_what_init_writes_are_good() -> None:
    example = (EXAMPLE / "backend/migrations/env.py").read_text()
    made = scaffold.scaffold(
        {
            "requirements.txt": "",
            "backend/models.py": "from sqlalchemy.orm import DeclarativeBase\nclass "
            "Base(DeclarativeBase): pass\n",
        },
        scaffold.Answers(app="shop", base=scaffold.Base("backend/models.py", "Base")),
    )
    written = next(change.after for change in made.changes if change.path.endswith("env.py"))
    for text in (example, written):
        names = "".join(
            f"backend/migrations/env.py:{line.strip()}\n"
            for line in text.splitlines()
            if re.match(r"\s*(from|import)\s", line)
        )
        facts = with_text("file:backend/migrations/env.py", text)
        assert (
            bad(
                replace(
                    facts, texts={**facts.texts, "imports": names + "backend/models.py:import sqlalchemy\n"}
                )
            )
            == []
        )


IMPORTS = """\
app/alembic/env.py:from app.db import base  # noqa
app/db/base.py:from app.models.user import User
app/models/user.py:from ..core import mixins
app/core/mixins.py:import sqlalchemy
app/other.py:import os
app/models/__init__.py:from app.models.order import (
app/models/order.py:import sqlalchemy
"""


def test_files_that_a_file_imports() -> None:
    seen = reached("app/alembic/env.py", IMPORTS)
    assert seen is not None
    assert seen >= {"app/db/base.py", "app/models/user.py", "app/core/mixins.py", "app/models/order.py"}
    assert "app/other.py" not in seen
    assert reached("app/alembic/env.py", IMPORTS + "app/core/mixins.py:import pkgutil\n") is None
    assert reached("x.py", "") == {"x.py"}


def test_no_file_of_the_example_is_unseen() -> None:
    files = [Path(file) for file in EXAMPLE.rglob("*.py")]
    lines = "".join(
        f"{file.relative_to(EXAMPLE)}:{line.strip()}\n"
        for file in files
        for line in file.read_text().splitlines()
        if re.match(r"\s*(from|import)\s", line)
    )
    seen = reached("backend/migrations/env.py", lines)
    assert seen is not None
    assert "backend/models.py" in seen
