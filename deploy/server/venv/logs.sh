# shellcheck shell=sh
# What the user's own command says of the application.
. ./engine.sh

[ -n "$logs_command" ] || refuse "nothing says where the application's log is" "Set logs in [venv]."

# A log that is quiet does not notice that nobody reads it any more. So the command has a process group of its own,
# which ends with the connection's shell.
export LOG_LINES="$log_lines" LOG_SINCE="$log_since" LOG_FOLLOW="$log_follow"
(as_app "$link" setsid sh -c "$logs_command") 2>&1 &
shown=$!
[ -n "$log_follow" ] || wait "$shown"
while kill -s 0 "$shown" 2>/dev/null; do
    kill -s 0 "$$" 2>/dev/null || kill -s TERM -- "-$shown"
    sleep 1
done
