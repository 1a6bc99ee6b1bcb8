# shellcheck shell=sh
# backup: of the database as it is.
. ./database.sh

backup before "by hand"
