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

restore_migration() { rm -rf "${venvs:?}/$id" "${venvs:?}/$id-migrate"; }

# dump FILE DIALECT
dump() {
    [ "$2" = sqlite ] || no_dump "without Docker, backstay cannot back up $2 by itself"
    : >"$1"
    probe sqlite-backup "$1" || fail "the backup failed: $(reason)"
}
no_dump() { fail "no backup could be made: $1" "Set mode in [backup] to a command that prints a backup, or to \"off\"."; }
