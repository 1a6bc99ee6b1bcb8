# shellcheck shell=sh
# The main service's log, line by line with its time, and on with the next container when one is replaced.
. ./engine.sh

mkdir -p facts
main=${services%% *}
current=$state/releases/$(cat "$state/current" 2>/dev/null)/facts
if [ -s "$current/project" ]; then
    cp "$current/project" "$current/docker" facts/
else
    find_docker
    find_compose
    load
fi

# show OPTION...: of all containers of the service.
show() {
    for container in $(containers "$main"); do
        docker_ logs --timestamps --tail "$log_lines" ${log_since:+--since "$log_since"} "$@" "$container" 2>&1 &
    done
    wait
}

[ -n "$(containers "$main")" ] || [ -n "$log_follow" ] || refuse "no container of $main is there" "fab deploy starts one."
while :; do
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    if [ -n "$log_follow" ]; then show --follow; else show; fi
    [ -n "$log_follow" ] || break
    log_since=$now log_lines=all
    sleep 1
done
