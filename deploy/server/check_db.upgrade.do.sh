# shellcheck shell=sh
# check of an upgrade: what would it apply?
. ./database.sh

ready_database
look_deployed
aim_at up "$revision"
