# shellcheck shell=sh
# check of a downgrade: what would it undo?
. ./database.sh

ready_database
look_deployed
aim_at down "$revision"
