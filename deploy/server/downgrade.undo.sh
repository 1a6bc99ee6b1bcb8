# shellcheck shell=sh
# Apply again exactly what was undone of it. What an undone revision dropped comes back empty: that is said.
. ./database.sh

stop_migration
drop_half_backup
[ "$(recall migrated)" = yes ] || exit 0
before=$(recall heads.before)
look now "backstay-$id"
note_lost
if [ "$(told now heads)" != "$before" ]; then
    probe upgrade "$before" "$(recall planned)" || fail "the revisions could not be applied again: $(reason)" \
        "The database is at $(told now heads), it was at $before. The backup is $(recall backup)."
    mv facts/probe.upgrade facts/state.now
fi
[ "$(told now heads)" = "$before" ] || fail "the database is at $(told now heads), it was at $before"
tell_lost
same_tables
fact undone ""
