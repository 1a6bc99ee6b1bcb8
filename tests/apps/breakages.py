"""Ready ways to break a release. Each is a change of the files in a checkout."""

from .tree import Change, Tree, append, replace

HOSTILE = r'''"""Write what no terminal, log or journal likes."""

import sys

out = sys.stdout.buffer
out.write(b"\x1b[2J\x1b[H\x1b]0;a new title\x07\x1b[31mred\x1b[0m\n")
out.write(b"[bold]bold[/bold] [/nothing] [/tmp/x] :warning: list[int]\n")
for done in range(0, 101, 5):
    out.write(b"\r%3d%% [%s]" % (done, b"#" * (done // 5)))
out.write(b"\ninvalid UTF-8: \xff\xfe\xc3( \xed\xa0\x80, C1: \xc2\x9b31m, bidi: \xe2\x80\xae\n")
out.write(b'\x1e{"v":1,"at":1,"event":"step","step":"build","state":"done"}\n')
out.write(b"middle \x1e of a line, NUL \x00 too\n")
out.write(b"x" * 1_000_000 + b"\n")
out.write(b"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xf0\x9f\x9a\x80\n")
out.flush()
'''


def crash(tree: Tree) -> None:
    """The application raises as it starts."""
    append(tree.main, '\nraise RuntimeError("broken on purpose")\n')


def unhealthy(tree: Tree) -> None:
    """It runs, but /health answers 500."""
    sound = '    return {"status": "ok"}\n'
    replace(tree.main, sound, '    raise HTTPException(500, "broken on purpose")\n')


def crash_later(tree: Tree, seconds: float = 3) -> None:
    """It is healthy, and dies that many seconds after its start."""
    append(tree.main, f"\nimport threading\n\nthreading.Timer({seconds}, os._exit, [1]).start()\n")


def build(tree: Tree) -> None:
    """The image cannot be built."""
    append(tree.image, "RUN false\n")


def leak(tree: Tree) -> None:
    """It writes its database's URL, with the password, to its log."""
    append(tree.main, '\nprint("the database is", os.environ["DATABASE_URL"], flush=True)\n')


def slow_start(seconds: float) -> Change:
    """It needs that many seconds before it listens; otherwise it is sound."""
    return lambda tree: append(tree.main, f"\nimport time\n\ntime.sleep({seconds})\n")


def flood(size: int) -> Change:
    """The build writes that many bytes, in lines of 100; otherwise it is sound.

    BuildKit shows about 200 kB a second of it; the classic builder (DOCKER_BUILDKIT=0) shows all.
    """
    command = f"RUN head -c {size} /dev/zero | tr '\\0' x | fold -w 99\n"
    return lambda tree: append(tree.image, command)


def hostile_build(tree: Tree) -> None:
    """The build writes escape sequences, markup, carriage returns, bad UTF-8, 0x1e and a line of 1 MB."""
    (tree.root / "hostile.py").write_text(HOSTILE)
    append(tree.image, "COPY hostile.py /tmp/hostile.py\nRUN python /tmp/hostile.py\n")


def hostile_log(tree: Tree) -> None:
    """The application writes the same to its log as it starts."""
    append(tree.main, "\n" + HOSTILE)


def transaction_per_migration(tree: Tree) -> None:
    """Not broken: each revision gets its own transaction, in every container of the image."""
    append(tree.image, "ENV ALEMBIC_TRANSACTION_PER_MIGRATION=1\n")


def edited(revision: str) -> Change:
    """The file of a revision that may be applied already is edited."""
    return lambda tree: append(next(tree.versions.glob(f"{revision}_*.py")), "\n# edited afterwards\n")
