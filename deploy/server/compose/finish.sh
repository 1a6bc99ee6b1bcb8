# shellcheck shell=sh
# After a success: the records and images of the last $keep releases stay, older ones go.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./keep.sh
. ./backup.sh

# forget ID: its kept images.
forget() {
    for name in "$state/releases/$1/facts/"*.name; do
        [ -e "$name" ] || continue
        # shellcheck disable=SC2034
        for role in before migrate migrate-before; do (id=$1 && let_go "$(cat "$name")" "$role"); done
    done
}

tidy
tidy_backups
