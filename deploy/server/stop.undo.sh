# shellcheck shell=sh
. ./database.sh

resume_services || fail "the application $why"
