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
# told_last KEY: what the last release's look noted after its migration.
told_last() { sed -n "s/^backstay $1 *//p" "$(deployed_facts)/state.after" 2>/dev/null; }
answer_of() { sed -n "s/^backstay $2 *//p" "facts/probe.$1"; }
reason() { sed -n 's/^backstay error //p' facts/probe.* 2>/dev/null | tail -n 1 | grep . || echo "see above"; }
probe_hint='Is alembic installed where the migrations run, and is there one alembic.ini? Set workdir in [migrate].'

# without A B: the words of A that are not in B.
without() { for word in $1; do case " $2 " in *" $word "*) ;; *) printf '%s ' "$word" ;; esac; done | sed 's/ $//'; }

# back_to BEFORE ALLOWED: the database's heads are BEFORE again, and only revisions of ALLOWED were undone.
back_to() {
    # A statement may outlive the migration that sent it.
    look now "backstay-$id"
    if [ "$(told now heads)" != "$1" ]; then
        [ -z "$(told now unknown)" ] || fail "somebody migrated the database further, to $(told now unknown)" \
            "Undo that first."
        [ "$(recall new.runs)" != yes ] || fail "the new release still runs: what it writes would be lost" \
            "The old one could not be started, see above."
        note_lost
        backup now "before the downgrade"
        probe downgrade "$1" "$2" || fail "the downgrade failed: $(reason)" \
            "The database is at $(told now heads), it was at ${1:-no revision}. fab db.backups lists what was saved."
        mv facts/probe.downgrade facts/state.now
        fact undone "$(told now undone)"
    fi
    [ "$(told now heads)" = "$1" ] || fail "the database is at $(told now heads), it was at ${1:-no revision}"
    # A second try finds nothing more to undo.
    known undone || fact undone ""
    tell_lost
    no_new_invalid
    same_tables
}

# no_new_invalid: an index that PostgreSQL could not build to its end is no use to queries, and is written to all the same.
no_new_invalid() {
    unbuilt=$(without "$(told now invalid)" "$(told before invalid)")
    [ -z "$unbuilt" ] || fail "the revisions are as before, but a migration left invalid indexes: $unbuilt" \
        "CREATE INDEX CONCURRENTLY stopped half-way. Drop them (DROP INDEX CONCURRENTLY NAME), then: fab recover."
}

# same_tables: what a downgrade leaves, or a migration that stopped half-way, is said.
same_tables() {
    tables before >facts/tables.before
    tables now >facts/tables.now
    strange=$(sort facts/tables.before facts/tables.now | uniq -u | awk '{ print $1 }' | uniq | tr '\n' ' ')
    [ -z "$strange" ] || fail "the revisions are as before, but these tables are not: $strange" \
        "A migration stopped half-way, or a downgrade does not undo its upgrade. Mend them by hand, then: fab recover. The backup is $(recall backup)."
}
tables() { told "$1" table | grep -v '^alembic_version ' || :; }

# note_lost: the tables and columns that were there before and are not now; they come back without what was in them. The
# first look counts: a second one sees them again.
note_lost() {
    known lost && return
    told now columns >facts/columns.now
    told before columns >facts/columns.before
    empty=$([ ! -e facts/backup.before ] || sed -n 's/^table \(.*[.]\)*\([^.]*\) 0$/\2/p' "$backups/$(recall backup.before).info")
    lost=$(awk -v empty="$empty" 'BEGIN { split(empty, names, "\n"); for (i in names) skip[names[i]]; skip["alembic_version"] }
        NR == FNR { there[$1]; for (i = 2; i <= NF; i++) there[$1 "." $i]; next }
        $1 in skip { next }
        !($1 in there) { print $1; next }
        { for (i = 2; i <= NF; i++) if (!($1 "." $i in there)) print $1 "." $i }' facts/columns.now facts/columns.before)
    put facts/lost "$(printf '%s' "$lost" | tr '\n' ' ')"
}

# tell_lost: a rollback was asked for; a failure was not.
tell_lost() {
    [ -n "$(recall lost)" ] || return 0
    level=error
    [ "$(cat outcome 2>/dev/null)" != "deployed 0" ] || level=warn
    fact lost "$(recall lost)"
    if known backup.before; then
        say "$level" "what was in $(recall lost) was dropped, and is in the backup $(recall backup.before)" \
            "fab db.restore $(recall backup.before) brings back all that was there at that time."
    else
        say "$level" "what was in $(recall lost) was dropped, and no backup was made"
    fi
}
