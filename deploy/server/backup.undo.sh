# shellcheck shell=sh
. ./database.sh

rm -f "$backups/.new-$id"*
