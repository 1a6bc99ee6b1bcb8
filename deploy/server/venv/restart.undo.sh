# shellcheck shell=sh
# What ran before runs again: the old environment and the old commit. Nothing ran: nothing runs.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh

# stop: also where only the health URL can say that there is nothing to stop.
stop() {
    if [ -n "$stop_command" ]; then
        own "$1" "$stop_command" || fail "the stop command failed" "It is stop in [venv]."
    elif [ -z "$health_url" ] || url_answers; then
        fail "the application still runs, or may: nothing says how to stop it" "Stop it on the server; set stop in [venv]."
    fi
    put facts/new.runs no
}

# link_back: as it was, whatever of it was done.
link_back() {
    [ "$(linked)" != "$before" ] || return 0
    case $before in
        link*) point_to "${before#link }" && return ;;
        folder) [ -d "$link.before-$id" ] || return ;;
    esac
    [ "$(linked)" = none ] || [ -h "$link" ] && rm -f "$link" || return
    [ "$before" = none ] || mv "$link.before-$id" "$link"
}

known venv.before || exit 0
before=$(recall venv.before)
touched=$(recall restarted)
# Its stop command may be a file of the commit that it came with.
if [ "$before" = none ] && [ "$touched" = yes ]; then
    stop "$venvs/$id"
    put facts/restarted no
fi
tree_to "$(recall commit.before)" || fail "the checkout $path could not go back" "Its local changes are in the way."
link_back || fail "$link could not become what it was: $before"
[ "$before" != none ] && [ "$touched" = yes ] || exit 0
if [ "$(recall answered)" = no ] && [ -n "$stop_command" ]; then
    stop "$link"
    exit 0
fi
if ! own "$link" "$restart_command"; then
    show_logs
    # The new release must not go on writing to what the undo of the migration takes away.
    [ -z "$stop_command" ] || (stop "$link")
    fail "the restart command failed with the old release" "It is restart in [venv]."
fi
put facts/new.runs no
[ -z "$health_url" ] || [ "$(recall answered)" = no ] || await application || { show_logs; fail "the old release $why"; }
