# shellcheck shell=sh
# What ran before runs again: the old image under the old commit's compose file. Nothing ran: nothing runs.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh

was() { recall "restart.$1.before"; }
# shellcheck disable=SC2046
is() { inspect '{{.Image}} {{.State.Running}} {{.Id}}' $(containers "$1"); }

# back SERVICE: into $again, where its old containers are not there as they were.
back() {
    known "restart.$1.before" || return 0
    if [ -z "$(was "$1")" ]; then
        for container in $(containers "$1"); do docker_ stop "$container" && docker_ rm -f "$container"; done
        return
    fi
    docker_ image tag "$(was "$1" | awk 'NR == 1 { print $1 }')" "$(recall "build.$1.name")"
    [ "$(is "$1")" = "$(was "$1")" ] || again="$again $1"
}

tree_to "$(recall commit.before)" || fail "the checkout $path could not go back" "Its local changes are in the way."
again=''
for service in $services; do back "$service"; done
[ -n "$again" ] || exit 0
load
# shellcheck disable=SC2086
up $again || fail "the old containers did not start"
running=''
for service in $again; do
    case $(was "$service") in
        *" true "*) running="$running $service" ;;
        *) compose stop "$service" ;;
    esac
done
# shellcheck disable=SC2086
[ -z "$running" ] || await $running || { show_logs $running; fail "the old release $why"; }
