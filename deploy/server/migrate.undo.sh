# shellcheck shell=sh
# Undo exactly the revisions that this release applied, with the code that brought them.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh
. ./migrate.sh
. ./migration.sh
. ./backup.sh
. ./dialects.sh

downgrade() {
    # Whatever the service ran on until now: the revisions' files are in the new commit.
    tree_to "$(recall commit.after)" || fail "the checkout $path could not go to the release's commit"
    use_migration
    back_to "$(recall heads.before)" "$(recall pending)"
    # What the downgrade ran in may be gone when this is done once more.
    put facts/migrated no
}

stop_migration
drop_half_backup
result=0
# A record may be missing where the machine was reset: then the database is asked.
if known heads.before && [ "$(recall migrated)" != no ]; then
    (downgrade)
    result=$?
fi
# Also when this is a second try, after the pull was undone already.
tree_to "$(recall commit.before)" || fail "the checkout $path could not go back to $(recall commit.before)"
[ "$result" = 0 ] || exit "$result"
restore_migration
