# shellcheck shell=sh
# What the migrations of the commit $wanted would do: plan.py asks them in the migration container, or environment, that
# is deployed. Read after check_git.sh, migrate.sh and migration.sh.

# unknown TEXT: why the migrations cannot be told, in `why_not`.
# shellcheck disable=SC2034
unknown() { why_not=$1 && return 1; }

# foresee: the answers are in facts/probe.plan; `why_not` says why there are none.
foresee() {
    ready_plan || return
    find_ini || return
    mkdir -p .backstay
    cp judge*.py .backstay
    told_last file >.backstay/recorded
    { git_ --literal-pathspecs archive --format=tar "$wanted" "$code" && tar -cf - .backstay; } >facts/commit.tar ||
        unknown "the files of the new commit cannot be read" || return
    # shellcheck disable=SC2034
    (also=plan.py input=facts/commit.tar && exec <"$input" && probe plan "$ini" "$(printf '%s\n' "$migrate_command" | tr '\n' ' ')")
    asked=$?
    rm -f facts/commit.tar
    [ "$asked" = 0 ] || unknown "the migrations cannot be read: $(reason)"
}

# told_last KEY: what the last release's look at the database noted after its migration.
told_last() {
    sed -n "s/^backstay $1 *//p" "$state/releases/$(cat "$state/current" 2>/dev/null)/facts/state.after" 2>/dev/null
}

# find_ini: where alembic.ini is in the commit, and the folder of what belongs to it.
find_ini() {
    folder=${venv_workdir:-${migrate_workdir:-.}}
    ini=$(git_ ls-tree -r --name-only "$wanted" | grep -E '(^|/)alembic[.]ini$')
    [ "$(printf '%s\n' "$ini" | wc -l)" -le 1 ] || ini=$(printf '%s\n' "$ini" | grep -xF "$folder/alembic.ini")
    [ -n "$ini" ] || unknown "one alembic.ini is wanted in the new commit: set workdir in [migrate]" || return
    code=$(dirname "$ini")
    ! git_ cat-file -e "$wanted:./$code/env.py" 2>/dev/null || code=$(dirname "$code")
}
