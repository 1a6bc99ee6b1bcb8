# shellcheck shell=sh
# What the migrations of the commit $wanted would do: plan.py asks them in the migration container, or environment, that
# is deployed. Read after check_git.sh, migrate.sh and migration.sh.

# unknown TEXT: why the migrations cannot be told, in `why_not`.
# shellcheck disable=SC2034
unknown() { why_not=$1 && return 1; }
why_not=''

# foresee: the answers are in facts/probe.plan; `why_not` says why there are none.
foresee() {
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
    # The application may print besides, or have a secret in its SQL.
    grep -a '^backstay ' facts/probe.plan | mask >facts/plan.masked
    mv facts/plan.masked facts/probe.plan
    [ "$asked" = 0 ] || unknown "the migrations cannot be read: $(reason)"
}

# check_migrations: refuses what is never right, and what is dangerous unless somebody agreed to it. Migrations that do
# not change are not looked at: that takes a second or two.
check_migrations() {
    { [ -n "$migrate" ] && migrations_change && can_plan; } || return 0
    trap 'stop_migration; exit 143' TERM
    { foresee || put facts/unforeseen "$why_not"; } 2>&1 | mask >foreseen
    why_not=$(recall unforeseen)
    : "${why_not:=$(answer_of plan unreadable)}"
    trap - TERM
    if [ -n "$why_not" ]; then
        cat foreseen
        say warn "the migrations could not be judged before: $why_not"
    fi
    rm -f foreseen
    wrong=$(answer_of plan stop)
    [ -z "$wrong" ] || { printf '%s\n' "$wrong" && fail "$(first "$wrong")" "$(first "$(answer_of plan hint)")"; }
    [ -n "$(answer_of plan danger)" ] || return 0
    answer_of plan danger | while IFS="$(printf '\t')" read -r what why; do say warn "$what" "$why"; done
    case ${consent:-} in
        yes | "$wanted") say info "agreed to, for $(git_ rev-parse --short "$wanted")" ;;
        *)
            fact danger "$wanted"
            fail "dangerous migrations need your consent" "fab plan shows all of them; fab deploy --yes goes on."
            ;;
    esac
}

# first LINES: the first of them, and how many more there are.
first() { printf '%s\n' "$1" | awk 'NR == 1 { text = $0 } END { print text (NR > 1 ? " (and " NR - 1 " more)" : "") }'; }

# migrations_change: from those of the last release; also where nobody knows that those are there.
migrations_change() {
    here=$(head_commit)
    last=$(cat "$(deployed_facts)/commit.after" 2>/dev/null)
    [ "$here" = "$last" ] || return 0
    git_ diff -z --name-only --no-renames --relative "$here" "$wanted" -- '*.py' >facts/changed.py
    [ -s facts/changed.py ] || return 1
    (cd "$path" && xargs -0 git --literal-pathspecs grep -lE '^down_revision' "$here" "$wanted" --) \
        <facts/changed.py >facts/changed.revisions 9>&-
    [ -s facts/changed.revisions ]
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
