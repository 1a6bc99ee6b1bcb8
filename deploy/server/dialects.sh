# shellcheck shell=sh
# Dumps and their way back, for each kind of database. The engine gives: beside, sqlite_out, sqlite_in.

# dump_database FILE WHEN: FILE holds it, facts/rows how many rows of each table, and both were compared.
dump_database() {
    host=$(told "$2" host) database=$(told "$2" database)
    case $(told "$2" dialect) in
        postgresql) dump_with postgresql.sh "$1" ;;
        mysql | mariadb) dump_with mysql.sh "$1" ;;
        sqlite)
            sqlite_out "$1" || fail "the backup failed: $(reason)"
            sed -n 's/^backstay rows //p' facts/probe.sqlite-backup >facts/rows
            rm -f facts/probe.sqlite-backup
            ;;
        *) no_dump "backstay cannot back up $(told "$2" dialect) by itself" ;;
    esac
}
no_dump() { fail "no backup could be made: $1" "Set mode in [backup] to a command that prints a backup, or to \"off\"."; }

# dump_with TOOL FILE: the rows that the database counted must be in the file. Counted at two moments, the dump's is
# between them.
dump_with() {
    beside "$1" dump "$database" >"$2" 2>facts/said
    dumped=$?
    grep -v '^backstay ' facts/said
    for done in dumped counted; do grep -q "^backstay $done" facts/said || dumped=1; done
    [ "$dumped" = 0 ] || fail "the backup failed" "Look at the output above."
    sed -n 's/^backstay warn //p' facts/said | while IFS= read -r line; do say warn "$line"; done
    sed -n 's/^backstay rows //p' facts/said >facts/rows
    sed -n 's/^backstay later //p' facts/said >facts/rows.later
    [ -s facts/rows.later ] || cp facts/rows facts/rows.later
    read_back "$1" "$2" || fail "the backup cannot be read back" "Look at the output above."
    compare_rows facts/rows facts/rows.later facts/rows.back ||
        fail "the backup does not hold what the database does: $different" "Is something wrong with the database's tools?"
    # What the dump has is what a restore brings.
    [ "$1" != mysql.sh ] || mv -f facts/rows.back facts/rows
}

# read_back TOOL FILE: facts/rows.back is how many rows of each table are in the file.
read_back() {
    rm -f facts/unread
    case $1 in
        postgresql.sh)
            { beside "$1" data "$database" <"$2" 2>facts/said || echo >facts/unread; } | awk -f copied.awk >facts/rows.back
            [ ! -e facts/unread ] || { cat facts/said && return 1; }
            ;;
        mysql.sh) awk -f inserted.awk "$2" >facts/rows.back ;;
    esac
}

# restore_database ID WHEN: all that is in that backup and nothing else, or nothing at all; then its rows are counted.
restore_database() {
    host=$(told "$2" host) database=$(told "$2" database) file=$backups/$1.dump
    format=$(field format "$backups/$1.info")
    case $format in
        postgresql) restore_with postgresql.sh "$file" ;;
        mysql | mariadb) restore_with mysql.sh "$file" ;;
        sqlite)
            sqlite_in "$file" || fail "the backup could not be restored: $(reason)" "The database is as it was."
            sed -n 's/^backstay rows //p' facts/probe.sqlite-restore >facts/rows.back
            ;;
        *) fail "backstay cannot restore what a command of your own made" "The file is $file on the server." ;;
    esac
    sed -n 's/^table //p' "$backups/$1.info" >facts/rows
    compare_rows facts/rows facts/rows facts/rows.back || fail "after the restore the rows are others: $different"
}

restore_with() {
    beside "$1" restore "$database" <"$2" >facts/said 2>&1
    grep -v '^backstay ' facts/said
    if ! grep -q '^backstay restored' facts/said; then
        # Only the end of the tool itself says that it took all back.
        ! grep -q '^backstay nothing' facts/said || put facts/restoring no
        fail "the backup could not be restored" "Look at the output above."
    fi
    sed -n 's/^backstay rows //p' facts/said >facts/rows.back
}

# try_restore ID: where no transaction takes a restore back, a database of its own is made of the backup before.
try_restore() {
    case $(field format "$backups/$1.info") in mysql | mariadb) ;; *) return 0 ;; esac
    host=$(told before host) database=$(told before database)
    undamaged "$1" || fail "the backup is damaged: $different" "The database is as it was."
    put facts/trial yes
    if ! beside mysql.sh create "$database" "backstay_$id" "backstay_$id"; then
        say warn "the restore is not tried before: the database's user may not make a database"
    elif ! fill_database "$1" "backstay_$id"; then
        fail "the backup could not be restored into a database made to try it${different:+: $different}" "The one in use is as it was."
    fi
    drop_trial
}
drop_trial() {
    [ "$(recall trial)" = yes ] || return 0
    drop_database "backstay_$id" && put facts/trial no && return
    say warn "the database backstay_$id, made to try the restore, is still there" "Drop it by hand."
}

# undamaged ID: has the file of MySQL's all that it had when it was made?  fill_database ID NAME: all of it, into NAME.
undamaged() {
    sed -n 's/^table //p' "$backups/$1.info" >facts/rows
    different="it has no end"
    read_back mysql.sh "$backups/$1.dump" && compare_rows facts/rows facts/rows facts/rows.back
}
fill_database() {
    beside mysql.sh load "$2" <"$backups/$1.dump" >facts/said 2>&1
    loaded=$?
    grep -v '^backstay ' facts/said
    sed -n 's/^backstay rows //p' facts/said >facts/rows.back
    [ "$loaded" = 0 ] && compare_rows facts/rows facts/rows facts/rows.back
}

# new_database ID NAME: a new one beside the one in use, with all of the backup in it.
new_database() {
    host=$(told before host) database=$(told before database)
    case $(field format "$backups/$1.info") in
        postgresql) beside postgresql.sh create "$database" "$2" "backstay_$id" <"$backups/$1.dump" ;;
        mysql | mariadb)
            undamaged "$1" && beside mysql.sh create "$database" "$2" "backstay_$id" && fill_database "$1" "$2" &&
                beside mysql.sh keep "$2" "backstay_$id"
            ;;
        sqlite) sqlite_in "$backups/$1.dump" "$2" ;;
    esac
}

# drop_database NAME: what is left of one that did not become whole.
# shellcheck disable=SC2034
drop_database() {
    host=$(told before host) database=$(told before database)
    case $(told before dialect) in
        postgresql) beside postgresql.sh drop "$database" "backstay_$id" ;;
        mysql | mariadb) beside mysql.sh drop "$1" "backstay_$id" ;;
    esac
}
