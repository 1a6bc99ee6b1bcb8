# shellcheck shell=sh
# Dumps and their way back, for each kind of database. The engine gives: beside, sqlite_out, sqlite_in.

# dump_database FILE WHEN: FILE holds it, facts/rows how many rows of each table, and both were compared.
dump_database() {
    host=$(told "$2" host) database=$(told "$2" database)
    case $(told "$2" dialect) in
        postgresql) dump_with postgresql.sh copied.awk "$1" ;;
        sqlite)
            sqlite_out "$1" || fail "the backup failed: $(reason)"
            sed -n 's/^backstay rows //p' facts/probe.sqlite-backup >facts/rows
            rm -f facts/probe.sqlite-backup
            ;;
        *) no_dump "backstay cannot back up $(told "$2" dialect) by itself" ;;
    esac
}
no_dump() { fail "no backup could be made: $1" "Set mode in [backup] to a command that prints a backup, or to \"off\"."; }

# dump_with TOOL COUNTER FILE: the rows that the database counted must be in the file.
dump_with() {
    beside "$1" dump "$database" >"$3" 2>facts/said
    dumped=$?
    grep -v '^backstay ' facts/said
    if [ "$dumped" != 0 ] || ! grep -q '^backstay dumped' facts/said; then
        fail "the backup failed" "Look at the output above."
    fi
    sed -n 's/^backstay rows //p' facts/said >facts/rows
    { beside "$1" data "$database" <"$3" 2>facts/said || echo >>facts/unread; } | awk -f "$2" >facts/rows.back
    if [ -e facts/unread ]; then
        rm -f facts/unread
        cat facts/said
        fail "the backup cannot be read back" "Look at the output above."
    fi
    compare_rows facts/rows facts/rows.back ||
        fail "the backup does not hold what the database does: $different" "Is something wrong with the database's tools?"
}

# restore_database ID WHEN: all that is in that backup and nothing else, or nothing at all; then its rows are counted.
restore_database() {
    host=$(told "$2" host) database=$(told "$2" database) file=$backups/$1.dump
    format=$(field format "$backups/$1.info")
    case $format in
        postgresql) restore_with postgresql.sh "$file" ;;
        sqlite)
            sqlite_in "$file" || fail "the backup could not be restored: $(reason)" "The database is as it was."
            sed -n 's/^backstay rows //p' facts/probe.sqlite-restore >facts/rows.back
            ;;
        *) fail "backstay cannot restore what a command of your own made" "The file is $file on the server." ;;
    esac
    sed -n 's/^table //p' "$backups/$1.info" >facts/rows
    compare_rows facts/rows facts/rows.back || fail "after the restore the rows are others: $different"
}

restore_with() {
    beside "$1" restore "$database" <"$2" >facts/said 2>&1
    grep -v '^backstay ' facts/said
    if ! grep -q '^backstay restored' facts/said; then
        # Only the end of the tool itself says that it took all back.
        ! grep -q '^backstay nothing' facts/said || put facts/restoring no
        fail "the backup could not be restored" "Look at the output above. The database is as it was."
    fi
    beside "$1" count "$database" 2>/dev/null | sed -n 's/^backstay rows //p' >facts/rows.back
}

# new_database ID NAME: a new one beside the one in use, with all of the backup in it.
new_database() {
    host=$(told before host) database=$(told before database)
    case $(field format "$backups/$1.info") in
        postgresql) beside postgresql.sh create "$database" "$2" "backstay_$id" <"$backups/$1.dump" ;;
        sqlite) sqlite_in "$backups/$1.dump" "$2" ;;
    esac
}

# drop_database NAME: what is left of one that did not become whole.
# shellcheck disable=SC2034
drop_database() {
    host=$(told before host) database=$(told before database)
    case $(told before dialect) in
        postgresql) beside postgresql.sh drop "$database" "backstay_$id" ;;
    esac
}
