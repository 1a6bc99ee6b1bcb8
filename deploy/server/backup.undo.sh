# shellcheck shell=sh
. ./database.sh

drop_half_backup
