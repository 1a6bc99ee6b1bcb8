# shellcheck shell=sh
# The main service's log, line by line with its time, and on with the next container when one is replaced.
. ./engine.sh

mkdir -p facts
main=${services%% *}
current=$(deployed_facts)
if [ -s "$current/project" ]; then
    cp "$current/project" "$current/docker" facts/
else
    ready_engine
fi
[ -n "$(containers "$main")" ] || [ -n "$log_follow" ] || refuse "no container of $main is there" "fab deploy starts one."

# A log that is quiet does not notice that nobody reads it any more. So what shows it has a process group of its own,
# which ends with the connection's shell.
export log_lines log_since log_follow
setsid sh ./show.sh &
shown=$!
[ -n "$log_follow" ] || wait "$shown"
while kill -s 0 "$shown" 2>/dev/null; do
    kill -s 0 "$$" 2>/dev/null || kill -s TERM -- "-$shown"
    sleep 1
done
