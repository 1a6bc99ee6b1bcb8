# shellcheck shell=sh
# restore: one more backup, then the database is what it was at the time of the old one.
. ./database.sh

look before
backup before "before the restore"
try_restore "$backup_id"
put facts/restoring yes
restore_database "$backup_id" before
look now
fact heads.after "$(told now heads)"
[ "$(told now heads)" = "$(field heads "$backups/$backup_id.info")" ] ||
    fail "the database is at $(told now heads), the backup at $(field heads "$backups/$backup_id.info")"
