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
[ -n "$migrate" ] || stop_started
[ -n "$again" ] || { put facts/new.runs no; exit 0; }
load
running='' stopped='' sound=''
for service in $again; do
    case $(was "$service") in
        *" true "*) running="$running $service" ;;
        *) stopped="$stopped $service" ;;
    esac
    # What was ill before may be so again.
    case $(recall "restart.$service.state") in running | healthy | starting) sound="$sound $service" ;; esac
done
# shellcheck disable=SC2034
known restart.answered || health_url=''
# shellcheck disable=SC2086
{
    [ -z "$stopped" ] || compose up --no-start --no-deps --no-build --force-recreate $stopped ||
        fail "the old containers could not be made again"
    [ -z "$running" ] || up $running || fail "the old containers did not start"
    put facts/new.runs no
    [ -z "$sound" ] || await $sound || { show_logs $sound; fail "the old release $why"; }
}
