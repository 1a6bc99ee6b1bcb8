# shellcheck shell=sh
# What the do and the undo of the migration share. The engine gives: ready_migration, use_migration, run_migration,
# stop_migration, restore_migration, probe, dump.

# look WHEN [NAME]: what the database is like now, in facts/state.WHEN. NAME is what its connections call themselves
# whose statements end first.
look() {
    probe state ${2:+"$2"} || fail "the migrations cannot be read: $(reason)" "$probe_hint"
    mv facts/probe.state "facts/state.$1"
}
told() { sed -n "s/^backstay $2 *//p" "facts/state.$1"; }
reason() { sed -n 's/^backstay error //p' facts/probe.* 2>/dev/null | tail -n 1 | grep . || echo "see above"; }
probe_hint='Is alembic installed where the migrations run, and is there one alembic.ini? Set workdir in [migrate].'

# without A B: the words of A that are not in B.
without() { for word in $1; do case " $2 " in *" $word "*) ;; *) printf '%s ' "$word" ;; esac; done | sed 's/ $//'; }

# backup WHEN: before what may lose data. Checked, not only written.
backup() {
    [ "$backup_mode" != off ] || { say warn "no backup was made: it is switched off"; return 0; }
    mkdir -p backup
    file=$PWD/backup/$1
    # An undo that is tried again must not write over what the first try saved.
    while [ -s "$file" ]; do file=$file-again; done
    if [ "$backup_mode" = auto ]; then dump "$file" "$(told "$1" dialect)" "$(told "$1" host)"; else own_dump "$file"; fi
    [ -s "$file" ] || fail "the backup is empty" "Nothing was migrated. Look at the output above."
    durable "$file"
    fact backup "$file"
    say info "backup: $(wc -c <"$file" | awk '{ printf "%.1f MB", $1 / 1000000 }') in $file"
}
own_dump() { (cd "$path" && sh -c "$backup_mode") >"$1" || fail "the backup command failed" "It is mode in [backup]."; }
