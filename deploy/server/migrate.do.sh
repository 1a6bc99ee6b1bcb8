# shellcheck shell=sh
# migrate: with the code that was pulled, bring the database to its heads.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh
. ./migrate.sh
. ./migration.sh
. ./backup.sh
. ./dialects.sh

ready_migration
look before
[ -z "$(told before unknown)" ] || fail "the database is at $(told before unknown), which this code does not know" \
    "It is ahead of the code: deploy the commit that has this migration, or a newer one."
fact heads.before "$(told before heads)"
pending=$(told before pending)
put facts/pending "$pending"
if [ -n "$pending" ]; then
    say info "migrations to apply: $pending"
    backup before "before the migration"
else
    say info "no migrations to apply"
fi

put facts/migrated yes
run_migration || fail "the migration failed"
look after
fact heads.after "$(told after heads)"
fact applied "$(without "$pending" "$(told after pending)")"
[ "$(told after heads)" = "$(told after code)" ] ||
    fail "after the migration the database is at $(told after heads), but the code's heads are $(told after code)" \
        "Does the migration command say: alembic upgrade head?"
