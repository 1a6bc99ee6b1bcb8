# shellcheck shell=sh
# What ran before runs again: the old image under the old commit's compose file. Nothing ran: nothing runs.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh

was() { recall "restart.$1.before"; }

# back SERVICE: into $again, where its old containers are not there as they were.
back() {
    known "restart.$1.before" || return 0
    if [ -z "$(was "$1")" ]; then
        ids=$(containers "$1") || fail "docker does not say what $1 runs"
        for container in $ids; do
            docker_ stop "$container" || fail "the new $1 could not be stopped"
            docker_ rm -f "$container" || fail "the new $1 could not be removed"
        done
        return
    fi
    docker_ image tag "$(was "$1" | awk 'NR == 1 { print $1 }')" "$(recall "build.$1.name")" ||
        fail "the old image of $1 could not get its name back"
    [ "$(runs "$1")" = "$(was "$1")" ] || again="$again $1"
}

reach_docker
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
    [ -z "$running" ] || up $running || fail "the old containers did not start" "$start_hint"
    put facts/new.runs no
    [ -z "$sound" ] || await $sound || { show_logs $sound; fail "the old release $why"; }
}
