# shellcheck shell=sh
# downgrade: the deployed image's Alembic undoes exactly what was planned.
. ./database.sh

say info "migrations to undo: $(recall planned)"
backup before "before the downgrade"
put facts/migrated yes
probe downgrade "$(recall aim)" "$(recall planned)" || fail "the downgrade failed: $(reason)"
mv facts/probe.downgrade facts/state.now
fact undone "$(recall planned)"
arrived
