# shellcheck shell=sh
. ./database.sh

[ "$(recall into)" != yes ] || drop_database "$into"
