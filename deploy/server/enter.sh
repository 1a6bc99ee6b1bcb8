#!/bin/sh
# The server's side of every command, in the kit that the laptop sent:  sh enter.sh VERB [ARGUMENT...]
# Answers are events on standard output. Standard input stays open for as long as somebody is watching.
set -u
cd "$(dirname "$0")" || exit 1
kit=$PWD
. ./values.sh
. ./lib.sh
emit() { printf '%s\n' "$1"; }

# refuse TEXT [HINT [EXIT]]: nothing was started.
refuse() {
    event "\"event\":\"refuse\",\"text\":\"$(json "$1")\",\"hint\":\"$(json "${2:-}")\",\"exit\":${3:-2}"
    leave
}

leave() {
    rm -rf "$kit"
    exit
}

answer() { event "\"event\":\"answer\",\"name\":\"$1\",\"value\":\"$(json "${2:-}")\""; }

tools() {
    for tool in git flock setsid mkfifo awk sed tail; do
        has "$tool" || refuse "$tool is not installed on the server" \
            "Install it with the server's package manager (flock and setsid are in util-linux)."
    done
}

# The checkout must be there and ours before its lock can be looked for.
checkout() {
    [ -d "$path" ] || refuse "there is no folder $path on the server" \
        "Clone the application there first: git clone URL '$path'; or correct the key path."
    git_folder=$(git -C "$path" rev-parse --absolute-git-dir 2>/dev/null)
    if [ -z "$git_folder" ]; then
        [ "$(ls -ld "$path" | awk '{ print $3 }')" = "$(id -un)" ] || refuse "the checkout $path belongs to another user, and git will not work in it" \
            "Deploy as its owner, or on the server: git config --global --add safe.directory '$path'"
        refuse "$path on the server is not a git checkout" "Clone the application there: git clone URL '$path'"
    fi
    [ -w "$git_folder" ] || refuse "the checkout $path belongs to another user, and cannot be written" \
        "Deploy as its owner: set the user in the key host."
}

# The lock is in the checkout, where every user of this server finds the same one. It is never removed: a lock on a
# file that is gone excludes nobody.
open_lock() {
    checkout
    lock_file=$git_folder/backstay.lock
    # shellcheck disable=SC2015
    (: >>"$lock_file") 2>/dev/null && chmod 666 "$lock_file" 2>/dev/null
    [ -r "$lock_file" ] || refuse "cannot open the lock $lock_file" "Check the rights of that folder."
    exec 9<"$lock_file"
}

holder() { sed -n "$1p" "$lock_file"; }

busy() {
    event "\"event\":\"busy\",\"release\":\"$(json "$(holder 1)")\",\"by\":\"$(json "$(holder 2)")\",\
\"since\":\"$(json "$(holder 3)")\",\"step\":\"$(json "$(holder 5)")\""
    leave
}

take_lock() {
    tools
    open_lock
    flock -n 9 || busy
    [ ! -s "$state/checkout" ] || [ "$(cat "$state/checkout")" = "$path" ] ||
        refuse "the records in $state are of another checkout, $(cat "$state/checkout")" \
            "Give this target a folder of its own: the key state."
    [ ! -s "$lock_file" ] || [ "$(holder 4)" = "$state" ] ||
        refuse "release $(holder 1) of $(holder 2) was interrupted and is not undone yet" \
            "Its records are in $(holder 4): fab recover, as that user, undoes it." 3
}

unfinished() { cat "$state/unfinished" 2>/dev/null; }

# install: the kit becomes the release's folder, in one go.
install() {
    [ ! -e "$state/releases/$id" ] || refuse "a release $id exists already" "Try again in a second."
    new=$state/releases/.new-$id
    if ! { mkdir -p "$state/releases" && chmod 700 "$state" && cp -R "$kit" "$new" && mkdir "$new/facts"; } 2>/dev/null; then
        rm -rf "$new"
        refuse "cannot write to $state on the server" "Is the disk full? May this user write there?"
    fi
    put "$new/lock_file" "$lock_file"
    put "$state/checkout" "$path"
    [ ! -s "$state/current" ] || cp "$state/current" "$new/previous"
    [ ! -e ./of ] || cp ./of "$new/of"
    : >"$new/journal"
    : >"$new/alive"
    mv "$new" "$state/releases/$id" || refuse "cannot write to $state on the server"
    rm -rf "$kit"
    release=$state/releases/$id
    cd "$release" || exit 1
}

# launch MODE: the runner goes on by itself, with the locks; the connection may go.
launch() {
    exec 8>>"$release/alive"
    flock -n 8
    setsid sh "$release/runner.sh" "$release" "$1" </dev/null >>"$release/runner.log" 2>&1 &
    exec 8>&- 9>&-
}

# follow OFFSET: the journal from that byte on, until the other side has seen enough.
follow() {
    event "\"event\":\"hello\",\"release\":\"${release##*/}\",\"offset\":$1"
    tail -c "+$(($1 + 1))" -f "$release/journal" &
    tail=$!
    (
        flock -s 8
        [ -e "$release/outcome" ] && exit
        sleep 1
        event '"event":"lost"'
    ) 8<"$release/alive" &
    cat >/dev/null
    kill "$tail"
    leave
}

size() { wc -c <"$1" | tr -d ' '; }

# known_release ID: the folder of that release, or of the one at work, or of the last one.
known_release() {
    found=${1:-$(unfinished)}
    : "${found:=$(cd "$state/releases" 2>/dev/null && printf '%s\n' * | tail -n 1)}"
    release=$state/releases/$found
    [ -e "$release/journal" ] || refuse "there is no release ${1:-to show} on this server"
}

verb_deploy() {
    take_lock
    old=$(unfinished)
    install
    if [ -n "$old" ]; then
        mkdir steps/00-recover
        cp recover.sh steps/00-recover/do
        printf '%s\n' $((undo_timeout * 4)) >steps/00-recover/timeout
        printf '%s\n' "$state/releases/$old" >recover_from
    fi
    launch run
    follow 0
}

# verb_rollback BACK_TO: undo the current release, or all down to BACK_TO.
verb_rollback() {
    take_lock
    old=$(unfinished)
    [ -z "$old" ] || refuse "release $old is not finished" "fab recover undoes it." 3
    undo=$(cat "$state/current" 2>/dev/null)
    [ "$undo" != "$1" ] || refuse "release $1 is the one that is deployed" "There is nothing to roll back."
    while [ -n "$undo" ]; do
        [ -d "$state/releases/$undo/steps" ] || refuse "there is nothing to go back to: release $undo is not kept" \
            "Deploy the commit that you want instead."
        printf '%s\n' "$undo" >>of
        undo=$(cat "$state/releases/$undo/previous" 2>/dev/null)
        [ -n "$1" ] && [ "$undo" != "$1" ] || break
    done
    [ -s of ] || refuse "there is nothing to go back to: no release is deployed here"
    [ -z "$1" ] || [ "$undo" = "$1" ] || refuse "release $1 is not among those before the current one" \
        "fab history lists them."
    install
    launch run
    follow 0
}

verb_recover() {
    take_lock
    old=$(unfinished)
    if [ -z "$old" ]; then
        answer nothing
        leave
    fi
    known_release "$old"
    launch undo
    follow "$(size "$release/journal")"
}

# A person has put right what could not be undone.
verb_accept() {
    take_lock
    old=$(unfinished)
    [ -n "$old" ] || refuse "there is nothing to accept: no release is unfinished"
    put "$state/releases/$old/outcome" "failed 3"
    rm -f "$state/unfinished"
    : >"$lock_file"
    answer accepted "$old"
    leave
}

# verb_follow ID OFFSET, verb_attach [ID]
verb_follow() {
    known_release "$1"
    follow "$2"
}
verb_attach() {
    known_release "${1:-}"
    follow 0
}

verb_cancel() {
    open_lock
    if flock -n 9; then
        refuse "nothing is running that could be cancelled"
    fi
    exec 9<&-
    release=$(holder 4)/releases/$(holder 1)
    (: >"$release/cancel") 2>/dev/null ||
        refuse "the running release $(holder 1) belongs to $(holder 2)" "Cancel it as that user."
    follow 0
}

# verb_status: what is on the server now; the engine says what runs.
verb_status() {
    tools
    open_lock
    . ./git.sh
    answer release "$(cat "$state/current" 2>/dev/null)"
    if ! flock -n 9; then
        answer in_progress "$(holder 1)"
        answer step "$(holder 5)"
        answer by "$(holder 2)"
    elif [ -s "$lock_file" ]; then
        answer interrupted "$(holder 1)"
    fi
    exec 9<&-
    answer commit "$(head_commit)"
    answer branch "$(git_ symbolic-ref --quiet --short HEAD)"
    . ./status.sh
    leave
}

# verb_current: what a rollback would undo.
verb_current() {
    now=$(cat "$state/current" 2>/dev/null)
    answer release "$now"
    answer applied "$(cat "$state/releases/$now/facts/applied" 2>/dev/null)"
    leave
}

# verb_records: the events of all releases, without their output.
verb_records() {
    for release in "$state"/releases/*; do
        [ -e "$release/journal" ] || continue
        answer record "${release##*/}"
        grep -a "^$(printf '\036')" "$release/journal" | grep -a -v '"event":"alive"'
    done
    leave
}

# verb_logs LINES SINCE FOLLOW: masked, each line with its time first.
verb_logs() {
    checkout
    log_lines=$1 log_since=$2 log_follow=$3
    (. ./logs.sh) | mask &
    watched=$!
    if [ -n "$log_follow" ]; then
        cat >/dev/null
        kill "$watched" 2>/dev/null
    fi
    wait "$watched"
    leave
}

verb=$1
shift
"verb_$verb" "$@"
