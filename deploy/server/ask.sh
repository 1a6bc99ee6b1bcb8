# shellcheck shell=sh
# A question to the deployed migrations: VERB [WORD...], as probe.py knows them. Read by enter.sh, in the kit.
. ./git.sh
. ./engine.sh
. ./migrate.sh
. ./migration.sh

ready_database
probe "$@"
asked=$?
! grep -q '^backstay error ' "facts/probe.$1" || fail "$(reason)"
cat "facts/probe.$1"
exit "$asked"
