# shellcheck shell=sh
# check of a rollback: is the server as the release left it? Somebody's changes by hand would be undone wrongly.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./check_git.sh
. ./engine.sh
. ./migrate.sh

there=$state/releases/$(head -n 1 of)/facts

# same WHAT NOW: noted, and compared with what the release noted.
same() {
    fact "$1.before" "$2"
    left=$(cat "$there/$1.after" 2>/dev/null)
    [ "$left" = "$2" ] || [ -n "$force" ] ||
        fail "the server is not as release $(head -n 1 of) left it: its $1 is ${2:-none}, not ${left:-none}" \
            "Put it back, or roll back all the same: fab rollback --force"
}

first=$(tail -n 1 of)
if [ -z "$force" ] && [ "$(cat "$state/releases/$first/facts/venv.before" 2>/dev/null)" = none ]; then
    fail "there is nothing to go back to: before release $first there was no environment" \
        "fab rollback --force takes the application away, as it was then."
fi
check_tree
same commit "$(head_commit)"
same image "$(image "$(linked)")"
if [ -n "$migrate" ] && [ -e "$there/heads.after" ]; then
    venv=$(cat "$there/migrate.venv")
    whole "$venv" || fail "the environment $venv, which the migrations need, is gone"
    look now
    same heads "$(told now heads)"
fi
