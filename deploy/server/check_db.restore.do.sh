# shellcheck shell=sh
# check of a restore: is the backup there, and of this kind of database?
. ./database.sh

info=$backups/$backup_id.info
[ -s "$info" ] && [ -s "$backups/$backup_id.dump" ] ||
    fail "there is no backup $backup_id on the server" "fab db.backups lists them."
ready_database
look_deployed anyhow
format=$(field format "$info")
[ "$format" != own ] || fail "backstay cannot restore what a command of your own made" "The file is $backups/$backup_id.dump on the server."
[ "$format" = "$(told before dialect)" ] || fail "the backup is one of $format, the database is $(told before dialect)"
[ "$(field heads "$info")" = "$(told before code)" ] ||
    say warn "the backup is at $(field heads "$info"), the deployed code wants $(told before code)" \
        "Afterwards: fab db.upgrade, or deploy the code that fits."
