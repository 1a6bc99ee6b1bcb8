# shellcheck shell=sh
# start: what was stopped, and as healthy as it was.
. ./database.sh

resume_services || fail "the application $why after the restore"
