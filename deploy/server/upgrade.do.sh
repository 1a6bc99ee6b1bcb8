# shellcheck shell=sh
# upgrade: the deployed image's Alembic applies exactly what was planned.
. ./database.sh

say info "migrations to apply: $(recall planned)"
backup before "before the upgrade"
put facts/pending "$(recall planned)"
put facts/migrated yes
probe upgrade "$(recall aim)" "$(recall planned)" || fail "the upgrade failed: $(reason)"
mv facts/probe.upgrade facts/state.now
fact applied "$(recall planned)"
arrived
