# shellcheck shell=sh
# After an operation on the database: old backups go, and the records of operations but the last ones.
. ./values.sh
. ./lib.sh
. ./backup.sh
. ./keep.sh

tidy_backups
tidy_operations 20
