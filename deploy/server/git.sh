# shellcheck shell=sh
# The checkout: one pinned commit in, the noted one back.

unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=/bin/false
: "${GIT_SSH_COMMAND:=ssh -o BatchMode=yes -o ConnectTimeout=10}"
export GIT_SSH_COMMAND

# No hooks, and nothing that goes on in the background with our lock in its hands.
git_() (
    umask "$login_umask"
    exec git -C "$path" -c core.hooksPath=/dev/null -c gc.auto=0 -c maintenance.auto=false \
        -c advice.detachedHead=false "$@" 9>&-
)

head_commit() { git_ rev-parse --verify --quiet HEAD; }

# tree_to COMMIT: the branch and the files go to COMMIT; edits of somebody else make it fail, not go lost. The mark
# says that a move was begun: what a kill left half-way is ours to mend.
tree_to() {
    [ ! -e facts/tree.moving ] || mend_tree
    put facts/tree.moving "$1"
    git_ update-index -q --refresh >/dev/null
    git_ reset --keep --quiet "$1" || return
    submodules || return
    rm -f facts/tree.moving
}

# mend_tree: files that differ between the release's two commits go to where HEAD is; others are left alone.
mend_tree() (
    rm -f "$(git_ rev-parse --absolute-git-dir)/index.lock"
    here=$(head_commit) before=$(recall commit.before) after=$(recall commit.after)
    other=$after
    [ "$here" != "$after" ] || other=$before
    git_ diff -z --name-only --no-renames --diff-filter=A "$here" "$other" >facts/tree.strange
    (cd "$path/$(git_ rev-parse --show-cdup)" && xargs -0 rm -f --) <facts/tree.strange
    git_ diff -z --name-only --no-renames --diff-filter=a "$here" "$other" >facts/tree.known
    [ ! -s facts/tree.known ] || (
        umask "$login_umask"
        cd "$path/$(git_ rev-parse --show-cdup)" &&
            xargs -0 git -c core.hooksPath=/dev/null --literal-pathspecs checkout --force --quiet "$here" --
    ) <facts/tree.known 9>&-
)

submodules() {
    [ -e "$path/$(git_ rev-parse --show-cdup).gitmodules" ] || return 0
    git_ submodule --quiet sync --recursive && git_ submodule --quiet update --init --recursive
}
