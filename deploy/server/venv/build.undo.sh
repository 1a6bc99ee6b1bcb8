# shellcheck shell=sh
. ./values.sh
. ./lib.sh
. ./engine.sh

# The undo of the migration may need it, and lets it go.
[ "$(recall migrate.venv)" = "$venvs/$id" ] || rm -rf "${venvs:?}/${id:?}"
