# shellcheck shell=sh
# The environment that the migrations run in, and their runs.

# ready_migration: the environment in use serves where it was made of the same requirements.
ready_migration() {
    used=$venvs/$(image "$(linked)")
    venv=$venvs/$id-migrate
    if whole "$used" && ! names_files && [ "$(cat "$used/backstay.digest")" = "$(digest)" ]; then venv=$used; fi
    put facts/migrate.venv "$venv"
    [ "$venv" = "$used" ] || make_venv "$venv" || fail "the environment for the migrations could not be made"
}

# ready_database: the environment in use, for what is no release.
ready_database() {
    venv=$link
    [ -x "$venv/bin/python" ] || fail "there is no environment $venv on the server" "fab deploy makes it."
}

# can_plan: is what migrates there, for a look at another commit's migrations?
can_plan() {
    # shellcheck disable=SC2034
    venv=$link
    [ -x "$venv/bin/python" ] || unknown "there is no environment on the server yet"
}

use_migration() {
    venv=$(recall migrate.venv)
    whole "$venv" || fail "the environment $venv, which the migrations need, is gone"
}

run_migration() {
    set --
    while IFS= read -r word; do
        [ -z "$word" ] || set -- "$word" "$@"
    done <<WORDS
$migrate_command
WORDS
    # shellcheck disable=SC2016
    in_venv env "PGAPPNAME=backstay-$id" sh -c 'cd "$0" && exec "$@"' "${venv_workdir:-${migrate_workdir:-.}}" "$@"
}

# The lock is held until a step's processes have ended: none of them is left.
stop_migration() { :; }

restore_migration() { rm -rf "${venvs:?}/${id:?}" "${venvs:?}/$id-migrate"; }

# has_programs TOOL: what one of our scripts calls is on the server.
has_programs() {
    case $1 in
        postgresql.sh) programs='psql pg_dump pg_restore' package=postgresql-client ;;
        mysql.sh) programs=$(has mariadb || echo 'mysql mysqldump') package=mariadb-client ;;
    esac
    for program in $programs; do
        has "$program" || no_dump "$program is not installed on the server. On Debian and Ubuntu: apt install $package"
    done
}

# beside TOOL WORD...: one of our scripts, with the server's own programs.
beside() {
    has_programs "$1"
    script=$(cat "$1")
    shift
    in_probe tool "$script" "$@"
}

sqlite_out() { probe sqlite-backup "$1"; }
sqlite_in() (exec <"$1" && shift && probe sqlite-restore "$@")

# pause_services [AGAIN]: the application stops, where a command says how.
pause_services() {
    [ -n "${1:-}" ] || known paused || put facts/paused "$(if url_answers; then echo yes; else echo no; fi)"
    if [ -z "$stop_command" ]; then
        say warn "the application runs on meanwhile: nothing says how to stop it" "Set stop in [venv]."
    else
        own "$link" "$stop_command"
    fi
}

resume_services() {
    # shellcheck disable=SC2034
    why="did not start again"
    [ -n "$stop_command" ] || return 0
    own "$link" "$restart_command" || { show_logs; return 1; }
    [ -z "$health_url" ] || [ "$(recall paused)" = no ] || await application || { show_logs; return 1; }
}
