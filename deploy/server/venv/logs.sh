# shellcheck shell=sh
# What the user's own command says of the application.
. ./engine.sh

[ -n "$logs_command" ] || refuse "nothing says where the application's log is" "Set logs in [venv]."
export LOG_LINES="$log_lines" LOG_SINCE="$log_since" LOG_FOLLOW="$log_follow"
(as_app "$link" sh -c "$logs_command") 2>&1
