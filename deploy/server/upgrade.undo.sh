# shellcheck shell=sh
# Undo exactly what was applied of it.
. ./database.sh

stop_migration
[ "$(recall migrated)" = yes ] || exit 0
back_to "$(recall heads.before)" "$(recall planned)"
