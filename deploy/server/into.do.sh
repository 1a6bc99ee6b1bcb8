# shellcheck shell=sh
# restore: into a new database beside the one in use, which is left alone.
. ./database.sh

put facts/into yes
new_database "$backup_id" "$into" || fail "the backup could not be restored into $into" "Look at the output above."
