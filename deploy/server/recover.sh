# shellcheck shell=sh
# The first step of a release that finds an interrupted one: undo that, from its own records.
old=$(cat recover_from)
sh "$old/runner.sh" "$old" undo
case $? in
    0 | 1 | 2 | 130) exit 0 ;;
esac
. ./values.sh
. ./lib.sh
fail "release ${old##*/} was interrupted and could not be undone by itself" \
    "fab attach ${old##*/} shows what is left; fab recover tries again."
