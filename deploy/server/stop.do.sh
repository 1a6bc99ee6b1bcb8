# shellcheck shell=sh
# stop: what uses the database; the last backup then has all of it.
. ./database.sh

pause_services || fail "the application could not be stopped"
