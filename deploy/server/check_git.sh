# shellcheck shell=sh
# May the checkout be moved to the commit that is asked for? Fetches it, pins it, changes no file.

check_tree() {
    lock=$(git_ rev-parse --absolute-git-dir)/index.lock
    [ ! -e "$lock" ] || fail "another git is at work in $path, or one has died there" \
        "When no git is running on the server: rm '$lock'"
    on=$(git_ symbolic-ref --quiet --short HEAD) ||
        fail "the checkout $path is on no branch (detached HEAD)" "On the server: git -C '$path' checkout $branch"
    [ "$on" = "$branch" ] ||
        fail "the checkout $path is on the branch $on, not on $branch" \
            "On the server: git -C '$path' checkout $branch; or set branch = \"$on\"."
    # Times alone may have changed, and then files look edited to those who ask less thoroughly than status.
    git_ update-index -q --refresh >/dev/null
    changed=$(git_ status --porcelain --untracked-files=no --ignore-submodules=dirty)
    [ -z "$changed" ] || fail "the checkout $path has changes that are not committed: $(brief "$changed")" \
        "Commit them, or put them away on the server: git -C '$path' stash"
}

# brief LINES: the first three of them on one line.
brief() {
    printf '%s\n' "$1" | awk 'NR <= 3 { printf "%s%s", (NR > 1 ? ", " : ""), $NF } END { if (NR > 3) printf " and %d more", NR - 3 }'
}

fetch() {
    git_ remote get-url "$remote" >/dev/null 2>&1 ||
        fail "the checkout $path has no remote $remote" "On the server: git -C '$path' remote add $remote URL"
    git_ fetch --prune --tags --force "$remote" "+refs/heads/*:refs/remotes/$remote/*" ||
        fail "the server cannot fetch from $remote ($(git_ remote get-url "$remote"))" \
            "Try on the server: git -C '$path' fetch $remote. A deploy key there, or forward_agent = true, lets it in."
}

# resolve: the one commit that this release is about.
resolve() {
    # As a name of its own it could be an option; --end-of-options is for git 2.30 and newer.
    for name in "refs/remotes/$remote/$ref" "refs/tags/$ref" "${ref##-*}"; do
        wanted=$(git_ rev-parse --verify --quiet "$name^{commit}" 2>/dev/null) && return
    done
    fail "$remote has no branch, tag or commit $ref" "Was it pushed?"
}

check_move() {
    here=$(head_commit) || fail "the checkout $path has no commit yet"
    git_ merge-base --is-ancestor "$here" "$wanted" && return
    if git_ merge-base --is-ancestor "$wanted" "$here"; then
        fail "$ref is older than what is on the server" "fab rollback goes back; or push what the server has."
    fi
    fail "the history of $ref was rewritten: the server's commit $(git_ rev-parse --short "$here") is not in it" \
        "Merge it, or on the server, when its commit can go: git -C '$path' reset --hard $wanted"
}

# Files that nobody committed and that the new commit brings too.
check_way() {
    blocked=$(git_ read-tree -n -m -u HEAD "$wanted" 2>&1) && return
    files=$(printf '%s\n' "$blocked" | sed -n "s/^error: [^']*'\(.*\)'.*/\1/p")
    fail "files in the checkout $path are in the way: $(brief "${files:-$blocked}")" "Move them away on the server."
}

check_git() {
    check_tree
    fetch
    resolve
    check_move
    check_way
    fact commit.wanted "$wanted"
    check_news
}

# check_news: --if-changed, and that commit is what the current release left.
check_news() {
    [ -n "$if_changed" ] || return 0
    now=$(cat "$state/current" 2>/dev/null)
    [ "$wanted" = "$(head_commit)" ] && [ -n "$now" ] || return 0
    say info "$ref is deployed already, as $(git_ rev-parse --short "$wanted"): nothing to do"
    fact commit.before "$wanted"
    fact commit.after "$wanted"
    put facts/unchanged yes
}
