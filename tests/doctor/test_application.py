"""The application's checks: facts in, findings out. Each fires on its own fault, and on nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploy.config import Target
from deploy.config.keys import Health, Migrate
from deploy.doctor import application
from deploy.doctor.facts import Complaint, Facts
from deploy.doctor.model import services

TARGET = Target(host="server.example.org", path="/opt/shop", name="production", app="shop")
CONFIG = """\
services:
  backend:
    build:
      context: /opt/shop
      dockerfile: Dockerfile.backend
    command:
      - sh
      - -c
      - cd backend && exec uvicorn main:app
    depends_on:
      db:
        condition: service_healthy
        required: true
    healthcheck:
      test:
        - CMD
        - python
        - -c
        - ask()
      interval: 3s
    image: shop
    ports:
      - mode: ingress
        host_ip: 127.0.0.1
        target: 8000
        published: "8000"
        protocol: tcp
    restart: unless-stopped
  db:
    healthcheck:
      test: ["CMD", "pg_isready"]
    image: postgres:15
    volumes:
      - type: volume
        source: db-data
        target: /var/lib/postgresql/data
        volume: {}
  db-migrate:
    profiles:
      - migrate
    build:
      context: /opt/shop
      dockerfile: Dockerfile.backend
    command:
      - sh
      - -c
      - cd backend && alembic upgrade head
"""
GOOD = Facts(
    answers={
        "folder.checkout": "/opt/shop",
        "compose": "2.29.7",
        "compose.talks": "",
        "tracked.env": "",
        "env.open": "",
        "env.dollar": "",
    },
    texts={
        "config": CONFIG,
        "python.folders": "backend/\nbackend/migrations/versions/\n",
        "file:Dockerfile.backend": "FROM python:3.11-slim\nWORKDIR /app\nCOPY . .\n",
        "file:.dockerignore": ".git\n.env*\n",
        "image:backend": json.dumps({"entrypoint": None, "command": ["python3"], "health": None}),
    },
)
COMMAND = "      - cd backend && exec uvicorn main:app\n"
TEST = "      test:\n        - CMD\n        - python\n        - -c\n        - ask()\n"
V1_COMMAND = "    command:\n      - sh\n      - -c\n" + COMMAND

#: What is replaced in the compose file's own form, and what must then be said.
COMPOSE = {
    "shell before the server": (
        COMMAND,
        "      - cd backend && uvicorn main:app\n",
        "stop signal",
        "uvicorn",
    ),
    "the same, as v1 has it": (
        V1_COMMAND,
        "    command: sh -c 'cd x; uvicorn main:app'\n",
        "stop signal",
        "uvicorn",
    ),
    "container_name": (
        "    image: shop\n",
        "    image: shop\n    container_name: web\n",
        "container_name",
        "web",
    ),
    "no health check": (TEST, "      disable: true\n", "health check", "nothing asks backend"),
    "health check NONE": (TEST, '      test: ["NONE"]\n', "health check", "nothing asks backend"),
    "migration without profile": ("    profiles:\n      - migrate\n", "", "migration", "no profile"),
    "migration again and again": (
        "    profiles:\n",
        "    restart: always\n    profiles:\n",
        "migration",
        "restart: always",
    ),
    "code mounted": (
        "    restart: unless-stopped\n",
        "    volumes:\n      - type: bind\n        source: /opt/shop/backend\n        target: /app/backend\n",
        "mounted code",
        "backend has backend mounted at /app/backend",
    ),
    "checkout mounted, as v1 has it": (
        "    restart: unless-stopped\n",
        "    volumes:\n    - /opt/shop:/app:rw\n",
        "mounted code",
        "the checkout",
    ),
    "latest": ("image: postgres:15", "image: postgres", "database", "whichever version"),
    "latest, said": (
        "image: postgres:15",
        "image: registry:5000/library/postgis:latest",
        "database",
        "latest",
    ),
    "no volume": ("        source: db-data\n", "", "database", "no volume"),
    "volume elsewhere": ("target: /var/lib/postgresql/data", "target: /data", "database", "no volume"),
    "open to all": (
        "    image: postgres:15\n",
        "    image: postgres:15\n    ports:\n      - target: 5432\n        published: '5432'\n",
        "database",
        "from outside",
    ),
    "open to all, as v1 has it": (
        "    image: postgres:15\n",
        "    image: postgres:15\n    ports:\n    - 5432:5432/tcp\n",
        "database",
        "from outside",
    ),
}
#: The same for what looks like a fault.
FINE = {
    "words": (V1_COMMAND, '    command: ["uvicorn", "main:app"]\n'),
    "an init": ("    image: shop\n", "    image: shop\n    init: true\n"),
    "exec after a condition": (COMMAND, "      - if true; then exec uvicorn main:app; fi\n"),
    "bash gives its place": (V1_COMMAND, '    command: ["bash", "-c", "cd x && uvicorn main:app"]\n'),
    "data mounted": (
        "    restart: unless-stopped\n",
        "    volumes:\n      - type: bind\n        source: /opt/shop/uploads\n        target: /app/uploads\n",
    ),
    "a digest": ("image: postgres:15", "image: postgres@sha256:0123"),
    "a folder": ("        source: db-data\n", "        source: /srv/db\n"),
    "not the database": ("image: postgres:15", "image: example/postgres-exporter"),
    "a masked word": ("      - cd backend && alembic upgrade head\n", "      - ***\n"),
    "port for the server alone": (
        "    image: postgres:15\n",
        "    image: postgres:15\n    ports:\n    - 127.0.0.1:5432:5432/tcp\n",
    ),
}
FACTS = {
    "env committed": ("tracked.env", ".env", "env files", ".env is committed"),
    "env readable": ("env.open", ".env", "env files", "can be read"),
    "dollar": ("env.dollar", ".env:3:SECRET_KEY", "env files", "SECRET_KEY (.env:3)"),
    "Compose cannot talk": (
        "compose.talks",
        "client version 1.42 is too old",
        "compose file",
        "1.42 is too old",
    ),
}
TEXTS = {
    "no dockerignore": ("file:.dockerignore", None, "build context", "there is no .dockerignore"),
    "env not ignored": ("file:.dockerignore", ".git\n", "build context", "everything, .env too"),
    "nothing ignored": ("file:.dockerignore", "*.pyc\n", "build context", ".git and .env"),
}


def bad(facts: Facts, target: Target = TARGET) -> list[tuple[str, str]]:
    found = [one for one in application.findings(facts, target) if one.level != "ok"]
    assert all(one.why and one.remedy for one in found), found
    return [(one.check, one.what) for one in found]


def with_config(old: str, new: str) -> Facts:
    assert old in CONFIG
    facts = replace(GOOD, texts={**GOOD.texts, "config": CONFIG.replace(old, new, 1)})
    assert len(services(facts.texts["config"])) == 3
    return facts


def test_a_good_application_is_ok() -> None:
    assert bad(GOOD) == []
    assert {one.check for one in application.findings(GOOD, TARGET)} == {
        "compose file",
        "health check",
        "stop signal",
        "migration",
        "database",
        "build context",
        "env files",
    }


@pytest.mark.parametrize("name", COMPOSE)
def test_each_fault_of_the_compose_file_is_found_alone(name: str) -> None:
    old, new, check, words = COMPOSE[name]
    [(found, what)] = bad(with_config(old, new))
    assert found == check
    assert words in what


@pytest.mark.parametrize("name", FINE)
def test_what_looks_like_a_fault_and_is_none(name: str) -> None:
    assert bad(with_config(*FINE[name])) == []


@pytest.mark.parametrize("name", FACTS)
def test_each_fact_is_found_alone(name: str) -> None:
    fact, value, check, words = FACTS[name]
    [(found, what)] = bad(replace(GOOD, answers={**GOOD.answers, fact: value}))
    assert found == check
    assert words in what


@pytest.mark.parametrize("name", TEXTS)
def test_each_file_is_found_alone(name: str) -> None:
    file, text, check, words = TEXTS[name]
    texts = {key: value for key, value in {**GOOD.texts, file: text}.items() if value is not None}
    [(found, what)] = bad(replace(GOOD, texts=texts))
    assert found == check
    assert words in what


def test_what_the_image_says_counts_where_the_compose_file_is_silent() -> None:
    silent = (
        with_config(V1_COMMAND, "")
        .texts["config"]
        .replace("    healthcheck:\n" + TEST + "      interval: 3s\n", "")
    )

    def told(**image: object) -> list[str]:
        return [
            check
            for check, _ in bad(
                replace(GOOD, texts={**GOOD.texts, "config": silent, "image:backend": json.dumps(image)})
            )
        ]

    healthy = {"Test": ["CMD", "ask"]}
    assert told(command=["uvicorn"], health=healthy) == []
    assert told(command=["/bin/sh", "-c", "uvicorn main:app"], health=healthy) == ["stop signal"]
    assert told(entrypoint=["/bin/sh", "-c", "uvicorn main:app"], health={"Test": ["NONE"]}) == [
        "health check",
        "stop signal",
    ]


@pytest.mark.parametrize(
    ("script", "swallows"),
    [
        ("#!/bin/sh\nalembic upgrade head\nuvicorn main:app\n", True),
        ("#!/bin/sh\nset -e\nalembic upgrade head\nexec uvicorn main:app\n", False),
        ("#!/bin/bash\nexec > /tmp/log\nuvicorn main:app\n", True),
        ("#!/usr/bin/env python3\nimport main\n", False),
    ],
)
def test_an_entrypoint_of_the_repository(script: str, swallows: bool) -> None:
    facts = with_config(V1_COMMAND, '    entrypoint: ["/app/docker-entrypoint.sh"]\n')
    facts.texts["file:deploy/docker-entrypoint.sh"] = script
    assert [check for check, _ in bad(facts)] == (["stop signal"] if swallows else [])


def test_alpines_shell_makes_room_for_its_last_command() -> None:
    facts = with_config(COMMAND, "      - cd backend && uvicorn main:app\n")
    facts.texts["file:Dockerfile.backend"] = "FROM python:3.12-alpine\nCOPY backend .\n"
    assert bad(facts) == []


def test_a_url_is_a_health_check() -> None:
    facts = with_config(TEST, "      disable: true\n")
    assert bad(facts, replace(TARGET, health=Health(url="http://127.0.0.1:8000/"))) == []


def test_services_that_are_not_there() -> None:
    target = replace(TARGET, migrate=Migrate(service="migrations"))
    [(check, what)] = bad(GOOD, target)
    assert (check, what) == ("compose file", "it has no service migrations")
    assert bad(GOOD, replace(TARGET, migrate=Migrate(enabled=False))) == []


def test_a_file_that_does_not_load() -> None:
    said = {"compose file": (Complaint("the compose file does not load: bad", "Look."),)}
    assert bad(Facts(complaints=said)) == [("compose file", "the compose file does not load: bad")]


def test_dollars_are_left_alone_by_v1() -> None:
    answers = {**GOOD.answers, "env.dollar": ".env:3:KEY", "compose": "1.29.2"}
    assert bad(replace(GOOD, answers=answers)) == []


def test_what_is_not_known_is_not_a_fault() -> None:
    assert bad(Facts()) == []
    assert bad(Facts(texts={"config": "services: ["})) == []


HEADS = 'revision = "1"\ndown_revision = None\nrevision = "2"\ndown_revision = None\n'


@pytest.mark.parametrize(
    ("command", "script", "level"),
    [
        ("cd backend && alembic upgrade head", "", "error"),
        ("cd backend && alembic upgrade heads", "", "ok"),
        ("bash scripts/prestart.sh", "alembic upgrade heads\n", "ok"),
        ("bash scripts/prestart.sh", "alembic upgrade head\n", "error"),
        ("bash scripts/other.sh", "alembic upgrade heads\n", "error"),
    ],
)
def test_several_heads_may_be_wanted(command: str, script: str, level: str) -> None:
    config = CONFIG.replace("cd backend && alembic upgrade head", command)
    texts = {"config": config, "revisions": HEADS, "file:scripts/prestart.sh": script}
    found = application.findings(replace(GOOD, texts={**GOOD.texts, **texts}), TARGET)
    assert [one.level for one in found if one.check == "revisions"] == [level]
