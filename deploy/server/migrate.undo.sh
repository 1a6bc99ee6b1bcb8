# shellcheck shell=sh
# Undo exactly the revisions that this release applied, with the code that brought them.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh
. ./migrate.sh
. ./migration.sh

downgrade() {
    # Whatever the service ran on until now: the revisions' files are in the new commit.
    tree_to "$(recall commit.after)" || fail "the checkout $path could not go to the release's commit"
    use_migration
    # A statement may outlive the migration that sent it.
    look now "backstay-$id"
    before=$(recall heads.before)
    if [ "$(told now heads)" != "$before" ]; then
        [ -z "$(told now unknown)" ] || fail "somebody migrated the database further, to $(told now unknown)" \
            "Undo that first."
        backup now
        probe downgrade "$before" "$(recall pending)" || fail "the downgrade failed: $(reason)" \
            "The database is at $(told now heads), it was at ${before:-no revision}. Backups are in $PWD/backup."
        mv facts/probe.downgrade facts/state.now
    fi
    [ "$(told now heads)" = "$before" ] ||
        fail "the database is at $(told now heads), it was at ${before:-no revision}"
    fact undone "$(told now undone)"
    same_tables
    # What the downgrade ran in may be gone when this is done once more.
    put facts/migrated no
}

# same_tables: what a downgrade leaves, or a migration that stopped half-way, is said.
same_tables() {
    tables before >facts/tables.before
    tables now >facts/tables.now
    strange=$(sort facts/tables.before facts/tables.now | uniq -u | awk '{ print $1 }' | uniq | tr '\n' ' ')
    [ -z "$strange" ] || fail "the revisions are as before, but these tables are not: $strange" \
        "A migration stopped half-way, or a downgrade does not undo its upgrade. The backup is $(recall backup)."
}
tables() { told "$1" table | grep -v '^alembic_version ' || :; }

stop_migration
result=0
if [ "$(recall migrated)" = yes ]; then
    (downgrade)
    result=$?
fi
# Also when this is a second try, after the pull was undone already.
tree_to "$(recall commit.before)" || fail "the checkout $path could not go back to $(recall commit.before)"
[ "$result" = 0 ] || exit "$result"
restore_migration
