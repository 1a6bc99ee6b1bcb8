# shellcheck shell=sh
# After a success: the records and images of the last $keep releases stay, older ones go.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./keep.sh

# forget ID: its kept images.
forget() {
    for name in "$state/releases/$1/facts/"build.*.name; do
        [ ! -e "$name" ] || (id=$1 && docker_ image rm "$(kept_name "$(cat "$name")")" >/dev/null 2>&1)
    done
}

tidy
