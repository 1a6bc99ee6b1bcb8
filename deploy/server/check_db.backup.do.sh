# shellcheck shell=sh
# check of a backup: is there a database to back up?
. ./database.sh

[ "$backup_mode" != off ] || fail "backups are switched off" "Set mode in [backup] to \"auto\" or to a command."
ready_database
look_deployed anyhow
