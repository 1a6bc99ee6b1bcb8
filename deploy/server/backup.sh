# shellcheck shell=sh
# Backups: a file and a record of each in $backups. The engine gives: dump_database, read_back.

backups=$state/backups

# backup WHEN WHY: before what may lose data; WHEN names what the database was like. Read back and counted, not only
# written.
backup() {
    [ "$backup_mode" != off ] || { say warn "no backup was made: it is switched off"; return 0; }
    mkdir -p "$backups" || fail "cannot write to $state" "Is the disk full?"
    name=$id number=1
    # An undo that is tried again must not write over what the first try saved.
    while [ -e "$backups/$name.info" ]; do number=$((number + 1)) name=$id-$number; done
    room "$1"
    file=$backups/.new-$name began=$(date +%s) format=own
    rm -f facts/rows
    : >"$file" || fail "cannot write to $backups" "Is the disk full?"
    if [ "$backup_mode" = auto ]; then
        format=$(told "$1" dialect)
        dump_database "$file" "$1"
    else
        (cd "$path" && sh -c "$backup_mode") >"$file" || fail "the backup command failed" "It is mode in [backup]."
    fi
    [ -s "$file" ] || fail "the backup is empty" "Look at the output above."
    durable "$file"
    record "$1" "$2" >facts/backup.info
    if ! mv -f "$file" "$backups/$name.dump" || ! put "$backups/$name.info" "$(cat facts/backup.info)"; then
        fail "cannot write to $backups" "Is the disk full?"
    fi
    put "facts/backup.$1" "$name"
    fact backup "$name"
    say info "backup $name: $(summary "$backups/$name.info")"
}

# drop_half_backup: what a backup that failed has written, which may be all that the disk had left.
drop_half_backup() { rm -f "$backups/.new-$id"*; }

record() {
    printf '%s\n' "id $name" "release $id" "why $2" "at $began" "seconds $(($(date +%s) - began))" "format $format" \
        "database $(told "$1" database)" "heads $(told "$1" heads)" "bytes $(wc -c <"$file" | tr -d ' ')"
    [ ! -e facts/rows ] || awk '{ rows += $NF } END { print "tables " NR; print "rows " rows + 0 }' facts/rows
    [ ! -s facts/rows ] || sed 's/^/table /' facts/rows
}
field() { sed -n "s/^$1 //p" "$2" | head -n 1; }

# summary RECORD: its size, time and content in words.
summary() {
    awk 'function many(n, what) { return n " " what (n == 1 ? "" : "s") }
        $1 == "bytes" || $1 == "seconds" || $1 == "tables" || $1 == "rows" { v[$1] = $2 }
        END {
            if (v["bytes"] < 100000) printf "%.1f kB", v["bytes"] / 1000; else printf "%.1f MB", v["bytes"] / 1000000
            printf " in %d s", v["seconds"]
            if (!("tables" in v)) printf ", not read back"
            else if (!v["tables"]) printf ", read back: no tables yet"
            else printf ", read back: %s in %s", many(v["rows"], "row"), many(v["tables"], "table")
        }' "$1"
}

# newest_first: "TIME ID" of each.
newest_first() {
    for info in "$backups"/*.info; do
        [ ! -e "$info" ] || printf '%s %s\n' "$(field at "$info")" "$(basename "$info" .info)"
    done | sort -k1,1nr -k2,2r
}

# room WHEN: on the disk, as much as the last backup took and half of it, or as the database takes.
room() {
    needed=$(told "$1" size) source="the database takes"
    [ -n "$needed" ] || return 0
    newest_first >facts/backups
    while read -r _ last; do
        [ "$(field database "$backups/$last.info")" = "$(told "$1" database)" ] || continue
        needed=$(awk -v bytes="$(field bytes "$backups/$last.info")" 'BEGIN { printf "%.0f", bytes * 1.5 }')
        source="the last backup and half of it take"
        break
    done <facts/backups
    there=$(df -Pk "$backups" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
    awk -v there="$there" -v needed="$needed" 'BEGIN { exit !(there != "" && there < needed + 10000000) }' || return 0
    fail "the disk of $state has no room for a backup: $source $(megabytes "$needed"), and $(megabytes "$there") are free" \
        "Make room; old backups are in $backups, and keep and age in [backup] say how long they stay."
}
megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.0f MB", bytes / 1000000 }'; }

# compare_rows A B C: lists of tables and their rows; C has as many as A or B or between them. Tables that A lacks are
# no matter.
compare_rows() {
    different=$(awk '{ rows = $NF; sub(/ [^ ]*$/, "") }
        FILENAME == ARGV[1] { want[$0] = rows }
        FILENAME == ARGV[2] { later[$0] = rows }
        FILENAME == ARGV[3] { have[$0] = rows }
        END { for (t in want) if ((have[t] - want[t]) * (have[t] - later[t]) > 0)
            printf "%s: %s, not %d; ", t, want[t], have[t] }' "$1" "$2" "$3")
    [ -z "$different" ]
}

# tidy_backups: the newest stays, those of releases that can be undone, and $backup_keep not older than $backup_age.
tidy_backups() {
    rm -f "$backups"/.new-*
    now=$(date +%s) count=0
    newest_first >facts/backups
    while read -r at name; do
        count=$((count + 1))
        { [ "$count" -gt 1 ] && ! referred "$name"; } || continue
        if [ "$count" -gt "$backup_keep" ] || [ $((now - at)) -gt "$backup_age" ]; then
            rm -f "$backups/$name.info" "$backups/$name.dump"
        fi
    done <facts/backups
}

# referred ID: its release is deployed and kept, or not finished.
referred() {
    release=$(field release "$backups/$1.info")
    [ "$release" != "$(cat "$state/unfinished" 2>/dev/null)" ] || return 0
    [ "$(cat "$state/releases/$release/outcome" 2>/dev/null)" = "deployed 0" ]
}
