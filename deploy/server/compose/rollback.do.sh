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

main=${services%% *}
first=$(tail -n 1 of)
came_from=$state/releases/$first/facts/restart.$main.before
if [ -z "$force" ] && [ -e "$came_from" ] && ! grep -q . "$came_from"; then
    fail "there is nothing to go back to: before release $first there was no container of $main" \
        "fab rollback --force takes the application away, as it was then."
fi
find_docker
find_compose
check_tree
load
same commit "$(head_commit)"
# shellcheck disable=SC2046
same image "$(inspect '{{.Image}}' $(containers "$main") | head -n 1)"
if [ -n "$migrate" ] && [ -e "$there/heads.after" ]; then
    look now
    same heads "$(told now heads)"
fi
