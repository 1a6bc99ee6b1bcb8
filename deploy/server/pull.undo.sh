# shellcheck shell=sh
# The last undo of a release: afterwards all is as it was.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh
. ./ran.sh

if known commit.before; then
    tree_to "$(recall commit.before)" ||
        fail "the checkout $path could not go back to $(recall commit.before)" \
            "On the server: git -C '$path' reset --keep $(recall commit.before)"
fi
as_it_ran
