"""What a user of `fab` sees: words, exit codes, JSON; each against a server inside the process."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.client.conftest import FABFILE, Laptop, finish

HOLD = '\n: >"$path/at-work"\nwhile [ ! -e "$path/go-on" ]; do sleep 0.05; done'


def test_a_good_deployment(laptop: Laptop) -> None:
    laptop.write("build.do", "echo 'Step 1/5 : FROM [bold]python[/bold]'; fact commit.after abc123")
    done = laptop.fab("deploy", "--no-logs")
    assert done.code == 0, done
    assert "[build] Step 1/5 : FROM [bold]python[/bold]\n" in done.out
    assert done.out.splitlines()[-1].startswith("Deployed abc123")
    assert done.err == ""


def test_a_failed_step_is_undone_and_exits_with_1(laptop: Laptop) -> None:
    laptop.write("migrate.do", "echo half; echo 'no such column'; exit 7")
    laptop.write("migrate.undo", 'echo migrate >>"$path/undone"')
    laptop.write("pull.undo", 'echo pull >>"$path/undone"')
    done = laptop.fab("deploy")
    assert done.code == 1
    assert "no such column" in done.out
    assert "exactly as it was" in done.out.splitlines()[-1] + done.out.splitlines()[-2]
    assert (laptop.checkout / "undone").read_text() == "migrate\npull\n"


def test_a_log_that_cannot_be_shown_makes_no_failure(laptop: Laptop) -> None:
    laptop.write("logs", "refuse 'nothing says where the log is' 'Set logs.'")
    done = laptop.fab("deploy")
    assert (done.code, done.err) == (0, "warning: nothing says where the log is\n  Set logs.\n"), done
    assert laptop.fab("logs").code == 2


def test_a_refusal_exits_with_2(laptop: Laptop) -> None:
    laptop.write("check.do", "fail 'the disk is full' 'Make room.'")
    done = laptop.fab("deploy")
    assert done.code == 2
    assert "the disk is full" in done.out
    assert "Make room." in done.out


def test_what_cannot_be_undone_exits_with_3_and_recover_goes_on(laptop: Laptop) -> None:
    laptop.write("build.do", "exit 1")
    laptop.write("pull.undo", '[ -e "$path/mended" ]')
    done = laptop.fab("deploy")
    assert done.code == 3
    assert "fab recover" in done.out
    again = laptop.fab("deploy")
    assert again.code in (2, 3), again
    (laptop.checkout / "mended").touch()
    assert laptop.fab("recover").code == 0
    laptop.write("build.do", "exit 0")
    assert laptop.fab("deploy", "--no-logs").code == 0


def test_json_is_one_object_a_line_with_the_result_last(laptop: Laptop) -> None:
    laptop.write("pull.do", "fact commit.before a1; fact commit.after b2")
    laptop.write("migrate.do", "fact heads.before 001; fact heads.after '002 003'; fact applied '002 003'")
    laptop.write("build.do", r"printf 'caf\303\251 \377 \033[31m\n'")
    code, result = laptop.result("deploy")
    assert code == 0
    assert result["outcome"] == "deployed"
    assert result["commit"] == {"before": "a1", "after": "b2"}
    assert result["heads"] == {"before": ["001"], "after": ["002", "003"]}
    assert result["applied"] == ["002", "003"]
    assert result["seconds"] >= 0
    laptop.write("restart.do", "exit 1")
    code, result = laptop.result("deploy")
    assert (code, result["outcome"]) == (1, "failed")
    assert result["commit"] == {"before": "a1", "after": "a1"}


def test_json_also_when_nothing_could_be_started(laptop: Laptop) -> None:
    (laptop.folder / "deploy.toml").write_text('app = "shop"\n')
    code, result = laptop.result("deploy")
    assert (code, result["outcome"]) == (2, "refused")


DANGER = """
[ "$consent" != yes ] && [ "$consent" != "$(cat "$path/tip")" ] || return 0
fact danger "$(cat "$path/tip")"
fail "a migration is dangerous: 004: drop-column users.name" "fab deploy --yes goes on."
"""


def test_danger_wants_consent(laptop: Laptop) -> None:
    laptop.write("check.do", DANGER)
    laptop.write("tip", "a" * 40)
    code, result = laptop.result("deploy")
    assert (code, result["outcome"]) == (2, "refused")
    assert laptop.fab("deploy", "--no-logs").code == 2
    code, shown = laptop.type("deploy", "--no-logs", answer="n")
    assert (code, "Deploy aaaaaaa all the same?" in shown) == (2, True), shown
    code, shown = laptop.type("deploy", "--no-logs", answer="\x04")
    assert (code, shown.endswith("[y/N] \r\n")) == (2, True), shown
    code, shown = laptop.type("deploy", "--no-logs", answer="y")
    assert (code, "Deployed" in shown) == (0, True), shown
    # The branch moved on while the question was open: it is asked again, about what is there now.
    laptop.write("check.do", f'[ -z "$consent" ] || printf "%040d" 7 >"$path/tip"\n{DANGER}')
    laptop.write("tip", "a" * 40)
    code, shown = laptop.type("deploy", "--no-logs", answer="y\nn")
    assert (code, "Deploy 0000000 all the same?" in shown) == (2, True), shown
    assert laptop.fab("deploy", "--no-logs", "--yes").code == 0


def test_two_at_once(laptop: Laptop) -> None:
    laptop.write("pull.do", HOLD)
    first = laptop.start("deploy", "--no-logs")
    laptop.wait_for("at-work")
    second = laptop.fab("deploy")
    assert second.code == 4
    assert "another deployment is running" in second.err
    assert "pull" in second.err
    (laptop.checkout / "go-on").touch()
    assert finish(first).code == 0


def test_a_killed_client_changes_nothing_and_attach_shows_the_end(laptop: Laptop) -> None:
    laptop.write("pull.do", "echo before" + HOLD + "; echo after")
    client = laptop.start("deploy", "--no-logs")
    laptop.wait_for("at-work")
    client.send_signal(signal.SIGKILL)
    finish(client)
    (laptop.checkout / "go-on").touch()
    done = laptop.fab("attach")
    assert done.code == 0
    assert [line for line in done.out.splitlines() if line.startswith("[pull]")] == [
        "[pull] before",
        "[pull] after",
    ]


def test_a_lost_connection_is_taken_up_where_it_broke(laptop: Laptop) -> None:
    laptop.write("pull.do", "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.3; done")
    laptop.write("build.do", HOLD)
    client = laptop.start("deploy", "--no-logs")
    assert client.stdout
    while "line 2" not in client.stdout.readline():
        pass
    laptop.server.drop_connections()
    laptop.wait_for("at-work")
    (laptop.checkout / "go-on").touch()
    done = finish(client)
    assert done.code == 0, done
    assert [line for line in done.out.splitlines() if line.startswith("[pull]")] == [
        f"[pull] line {i}" for i in range(3, 9)
    ]
    assert "trying again" in done.err


def test_ctrl_c_cancels_and_undoes(laptop: Laptop) -> None:
    laptop.write("pull.do", HOLD)
    laptop.write("pull.undo", ': >"$path/undone"')
    client = laptop.start("deploy")
    laptop.wait_for("at-work")
    client.send_signal(signal.SIGINT)
    done = finish(client)
    assert done.code == 130, done
    assert "cancelling" in done.err
    assert (laptop.checkout / "undone").exists()


def test_ctrl_c_twice_leaves_it_to_the_server(laptop: Laptop) -> None:
    laptop.write("pull.do", "trap '' TERM" + HOLD)
    client = laptop.start("deploy")
    laptop.wait_for("at-work")
    client.send_signal(signal.SIGINT)
    time.sleep(0.5)
    client.send_signal(signal.SIGINT)
    done = finish(client, timeout=10)
    assert done.code == 130
    assert "fab attach" in done.out
    (laptop.checkout / "go-on").touch()
    assert laptop.fab("attach").code == 130


def test_cancel_from_elsewhere(laptop: Laptop) -> None:
    laptop.write("build.do", HOLD)
    client = laptop.start("deploy")
    laptop.wait_for("at-work")
    assert laptop.fab("cancel").code == 0
    assert finish(client).code == 130
    nothing = laptop.fab("cancel")
    assert nothing.code == 2
    assert "nothing is running" in nothing.err


def test_detach_and_attach(laptop: Laptop) -> None:
    laptop.write("build.do", HOLD)
    done = laptop.fab("deploy", "--detach")
    assert done.code == 0, done
    assert "fab attach" in done.out
    (laptop.checkout / "go-on").touch()
    assert laptop.fab("attach").code == 0


def test_rollback_goes_back_release_by_release(laptop: Laptop) -> None:
    for name in ("one", "two"):
        laptop.write("build.undo", f'echo {name} >>"$path/undone"')
        assert laptop.fab("deploy", "--no-logs").code == 0
    assert laptop.fab("rollback").code == 0
    assert laptop.fab("rollback", "--yes").code == 0
    assert (laptop.checkout / "undone").read_text() == "two\ntwo\n"
    nothing = laptop.fab("rollback")
    assert nothing.code == 2
    assert "nothing to go back to" in nothing.err


def test_history_has_what_others_did(laptop: Laptop) -> None:
    assert laptop.fab("deploy", "--no-logs").code == 0
    ledger = next(laptop.home.rglob("ledger.db"))
    with sqlite3.connect(ledger) as connection:
        assert connection.execute("select outcome from releases").fetchall() == [("deployed",)]
    ledger.unlink()
    done = laptop.fab("history")
    assert done.code == 0
    assert "deployed" in done.out
    found = [json.loads(line) for line in laptop.fab("history", "--json").out.splitlines()]
    assert [(each["kind"], each["outcome"]) for each in found] == [("deploy", "deployed")]


def test_an_unwritable_ledger_is_a_warning(laptop: Laptop) -> None:
    (laptop.home / ".local").write_text("a file where a folder is wanted")
    (laptop.home / "Library").write_text("")
    done = laptop.fab("deploy", "--no-logs")
    assert done.code == 0
    assert "the ledger was not written" in done.err


def test_logs(laptop: Laptop) -> None:
    laptop.write("logs", "echo 'ERROR [red]boom[/red]'; echo 2; exit 0")
    done = laptop.fab("logs", "--no-follow")
    assert (done.code, done.out) == (0, "ERROR [red]boom[/red]\n2\n")


def test_logs_end_cleanly_on_ctrl_c(laptop: Laptop) -> None:
    laptop.write("logs", "echo one; sleep 30")
    client = laptop.start("logs")
    assert client.stdout
    assert client.stdout.readline() == "one\n"
    client.send_signal(signal.SIGINT)
    done = finish(client, timeout=10)
    assert (done.code, done.err) == (0, "")


def test_deploy_ends_by_tailing_the_log_for_a_while(laptop: Laptop) -> None:
    with (laptop.folder / "deploy.toml").open("a") as settings:
        settings.write("[logs]\nseconds = 1\n")
    laptop.write("logs", "while :; do echo alive; sleep 0.3; done")
    done = laptop.fab("deploy")
    assert done.code == 0
    assert "alive" in done.out


def test_follow_tails_until_ctrl_c(laptop: Laptop) -> None:
    laptop.write("logs", "while :; do echo alive; sleep 0.1; done")
    client = laptop.start("deploy", "--follow")
    assert client.stdout
    while client.stdout.readline() != "alive\n":
        pass
    client.send_signal(signal.SIGINT)
    assert finish(client, timeout=10).code == 0


def test_a_plan_fails_on_danger_when_asked_to(laptop: Laptop) -> None:
    said = [
        "here a1",
        "wanted b2",
        "heads 001",
        "code 002",
        "revision 002",
        "title [red]",
        "up DROP TABLE \033[1mt;",
    ]
    laptop.write("plan", "\n".join(f"printf 'backstay {line}\\n'" for line in [*said, "undoable no"]))
    done = laptop.fab("plan", "--ref", "v2", "--fail-on", "danger")
    assert (done.code, done.err) == (0, "")
    assert "002  [red]" in done.out
    assert "up    DROP TABLE t;" in done.out
    laptop.write("more", "printf 'backstay finding danger\\nbackstay rule drop-table\\n'")
    laptop.write("plan", (laptop.checkout / "plan").read_text() + '. "$path/more"')
    assert laptop.fab("plan").code == 0
    done = laptop.fab("plan", "--json", "--fail-on", "danger")
    assert (done.code, json.loads(done.out)["dangers"]) == (1, ["002"])
    assert laptop.fab("plan", "--fail-on", "dangers").code == 2
    laptop.write("plan", "fail 'the server cannot fetch' 'Try it there.'")
    refused = laptop.fab("plan")
    assert (refused.code, "the server cannot fetch" in refused.err) == (2, True)


def test_options_reach_the_server(laptop: Laptop) -> None:
    laptop.write("check.do", 'echo "ref=$ref backup=$backup_mode changed=$if_changed"')
    assert "ref=main backup=auto changed=\n" in laptop.fab("deploy", "--no-logs").out
    done = laptop.fab(
        "deploy", "--no-logs", "--ref", "v1.2; reboot", "--skip-backup", "--if-changed", "--yes"
    )
    assert "ref=v1.2; reboot backup=off changed=yes\n" in done.out
    laptop.write("check.do", ": >facts/unchanged")
    laptop.write("pull.do", "exit 1")
    assert laptop.fab("deploy", "--no-logs", "--if-changed").code == 0


def test_a_person_may_put_an_unfinished_release_aside(laptop: Laptop) -> None:
    laptop.write("pull.do", "exit 1")
    laptop.write("pull.undo", "exit 1")
    assert laptop.fab("deploy").code == 3
    assert laptop.fab("recover").code == 3
    done = laptop.fab("recover", "--accept")
    assert (done.code, "is put aside" in done.out) == (0, True)
    laptop.write("pull.do", "exit 0")
    assert laptop.fab("deploy", "--no-logs").code == 0


def test_status_is_one_json_object(laptop: Laptop) -> None:
    assert laptop.fab("deploy", "--no-logs").code == 0
    done = laptop.fab("status", "--json")
    assert done.code == 0
    status = json.loads(done.out)
    assert status["app"] == "shop"
    assert status["release"]
    assert status["in_progress"] is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["deploy", "--target", "stagin"], "Targets: production"),
        (["history", "--limit", "many"], "--limit takes a whole number"),
        (["logs", "--lines", "-1"], "--lines takes a whole number"),
        (["logs", "--since", "; reboot"], "is no time"),
        (["rollback", "--to", "nonsense"], "nothing to go back to"),
        (["attach", "--release", "../../etc"], "no release"),
        (["-H", "nowhere.invalid", "deploy"], "nowhere.invalid"),
    ],
)
def test_wrong_use_is_told_in_one_go(laptop: Laptop, words: list[str], says: str) -> None:
    done = laptop.fab(*words)
    assert done.code == 2, done
    assert says in done.err
    assert "Traceback" not in done.err + done.out


RESTORE = """
NAMES = ("check_db.restore", "stop", "restore", "start")


class Restoring(Scripted):
    def scripts(self):
        do = {f"{name}.do.sh": RUN % (f"{name}.do", f"{name}.do") for name in NAMES}
        return {**super().scripts(), **do, "finish_db.sh": ""}


ENGINES["compose"] = Restoring()
"""


def test_a_restore_wants_the_applications_name_typed(laptop: Laptop) -> None:
    with (laptop.folder / "fabfile.py").open("a") as file:
        file.write(RESTORE)
    laptop.write("restore.do", 'echo >>"$path/restored"')
    kept = laptop.checkout.parent / "there/.local/state/backstay/shop/backups"
    kept.mkdir(parents=True)
    (kept / "b1.info").write_text("id b1\nat 1795336746\nformat postgresql\ndatabase shop_db\nheads 003\n")
    (kept / "b1.dump").write_text("the database")
    assert laptop.fab("db.restore", "nope").code == 2
    for wrong in ("", "yes", "SHOP", "b1"):
        code, said = laptop.type("db.restore", "b1", answer=wrong)
        assert (code, "nothing was touched" in said) == (2, True), said
    assert not (laptop.checkout / "restored").exists()
    code, said = laptop.type("db.restore", "b1", answer="shop")
    assert code == 0, said
    assert "b1 of 2026-11-22" in said
    assert "at 003" in said
    assert "Type shop to go on" in said
    assert (laptop.checkout / "restored").read_text() == "\n"


def test_an_unknown_host_key_is_refused(laptop: Laptop) -> None:
    laptop.server.known_hosts_path.write_text("")
    done = laptop.fab("deploy")
    assert done.code == 2
    assert "SHA256:" in done.err


def test_listing_loads_nothing_that_is_not_needed(laptop: Laptop) -> None:
    heavy = "{'alembic', 'sqlalchemy', 'rich'}"
    code = f"import sys, deploy.tasks; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_one_line_is_enough_for_a_fabfile(laptop: Laptop, tmp_path: Path) -> None:
    assert "namespace" in FABFILE
    (laptop.folder / "fabfile.py").write_text("from deploy.tasks import namespace\n")
    done = laptop.fab("--list")
    assert done.code == 0
    listed = {line.split()[0] for line in done.out.splitlines() if re.match("  [a-z]", line)}
    assert listed == {
        "attach",
        "cancel",
        "db.backup",
        "db.backups",
        "db.check",
        "db.current",
        "db.downgrade",
        "db.history",
        "db.restore",
        "db.revision",
        "db.sql",
        "db.upgrade",
        "demo",
        "deploy",
        "doctor",
        "history",
        "init",
        "logs",
        "plan",
        "recover",
        "rollback",
        "status",
    }
