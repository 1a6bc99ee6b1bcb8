"""What people write instead: the five commands in a Fabric task, and ``alembic downgrade -1`` when one fails.

It is given more than most have: a health check, and steps that stop at the first failure.
"""

FABFILE = '''\
"""git pull, migrate, build, restart, logs."""

from fabric import Connection, task


@task
def deploy(_):
    """Update the server."""
    options = {{"key_filename": "{identity}"}}
    with Connection("127.0.0.1", port={port}, connect_kwargs=options) as server, server.cd("{path}"):
        print("== pull begin", flush=True)
        server.run("git pull --ff-only")
        print("== pull done", flush=True)
        try:
            for step, command in STEPS.items():
                print("==", step, "begin", flush=True)
                server.run(command)
                print("==", step, "done", flush=True)
        except Exception:
            print("== downgrade begin", flush=True)
            server.run(ALEMBIC + "downgrade -1")
            raise
        server.run("tail -n 20 {log}")


ALEMBIC = "set -a && . ./.env && cd backend && ../.venv/bin/alembic "
STEPS = {{
    "migrate": ALEMBIC + "upgrade head",
    "build": ".venv/bin/python -m pip install --no-cache-dir -r backend/requirements.txt",
    "restart": "curl -fsS -X POST {manager}/restart && sleep 1 && curl -fsS {health}",
}}
'''
