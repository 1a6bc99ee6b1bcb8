# shellcheck shell=sh
. ./database.sh

pause_services again
