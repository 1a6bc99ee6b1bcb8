# shellcheck shell=sh
. ./values.sh
. ./lib.sh
. ./git.sh

known commit.before || exit 0
tree_to "$(recall commit.before)" ||
    fail "the checkout $path could not go back to $(recall commit.before)" \
        "On the server: git -C '$path' reset --keep $(recall commit.before)"
