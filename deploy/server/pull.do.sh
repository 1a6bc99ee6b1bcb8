# shellcheck shell=sh
# pull: fast-forward to the one pinned commit.
. ./values.sh
. ./lib.sh
. ./git.sh

wanted=$(recall commit.wanted)
fact commit.before "$(head_commit)"
put facts/commit.after "$wanted"
git_ update-ref "refs/backstay/$id" "$(recall commit.before)"
git_ log --oneline --no-decorate -n 20 "HEAD..$wanted"
put facts/tree.moving "$wanted"
git_ merge --ff-only "$wanted" && submodules && rm -f facts/tree.moving || exit
fact commit.after "$(head_commit)"
