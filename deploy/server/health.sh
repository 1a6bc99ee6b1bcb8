# shellcheck shell=sh disable=SC2034
# Is it up, and does it stay up? The engine gives state_of SERVICE: one line a container or process, a word and what
# changes when it does not stay up.

# await SERVICE...: until all are healthy, or running where they have no health check (and accept connections where what
# ran before them did), and stay so for $settle seconds, and the health URL answers. Fails at once where there is no
# hope; $why says what is wrong.
await() {
    waited=0 stable=0 before=''
    while :; do
        now=$(for service; do state_of "$service"; done)
        judge
        case $judgement in
            good) if [ "$stable" -ge "$settle" ] && url_answers; then return; fi ;;
            hopeless) return 1 ;;
        esac
        before=$now
        [ "$waited" -lt "$health_timeout" ] || return 1
        waited=$((waited + 1))
        sleep 1
    done
}

# judge: $now against $before.
judge() {
    judgement='wait'
    case $now in
        *unhealthy*) why="is unhealthy" judgement=hopeless ;;
        *exited* | *dead* | *paused*) why="has stopped" judgement=hopeless ;;
        *restarting*) why="keeps crashing" stable=0 && crashed_often && judgement=hopeless ;;
        *silent*) why="accepted no connection within $health_timeout s; what ran before did" stable=0 ;;
        *starting* | *created* | *absent* | '') why="was not up within $health_timeout s" stable=0 ;;
        "$before") stable=$((stable + 1)) judgement=good ;;
        *) why="did not stay up for $settle s" stable=0 judgement=good ;;
    esac
}

crashed_often() { printf '%s\n' "$now" | awk '$2 >= 3 { found = 1 } END { exit !found }'; }

# url_answers: with what the server has. The URL may hold a token: it stays out of the process list where it can.
url_answers() {
    [ -n "$health_url" ] || return 0
    why="does not answer at the health URL"
    if has curl; then
        printf 'url = "%s"\n' "$health_url" | curl -fsS -m 5 -o /dev/null -K - 2>/dev/null
    elif has python3; then
        printf '%s' "$health_url" | python3 -c 'import sys, urllib.request as u; u.urlopen(sys.stdin.read(), timeout=5)' 2>/dev/null
    elif has wget; then
        wget -q -T 5 -O /dev/null "$health_url"
    else
        why="cannot be asked at the health URL: the server has no curl, python3 or wget"
        return 1
    fi
}
