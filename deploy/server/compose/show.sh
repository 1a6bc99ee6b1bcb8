# shellcheck shell=sh
# Shows the log for logs.sh, in the kit: the last $log_lines lines since $log_since, and what follows if $log_follow.
. ./values.sh
. ./lib.sh
. ./engine.sh

main=${services%% *}

# show OPTION...: of all containers of the service.
show() {
    for container in $(containers "$main"); do
        docker_ logs --timestamps --tail "$log_lines" ${log_since:+--since "$log_since"} "$@" "$container" 2>&1 &
    done
    wait
}

while :; do
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    if [ -n "$log_follow" ]; then show --follow; else show; fi
    [ -n "$log_follow" ] || break
    log_since=$now log_lines=all
    sleep 1
done
