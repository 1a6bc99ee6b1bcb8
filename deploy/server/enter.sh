#!/bin/sh
# The server's side of every command, in the kit that the laptop sent:  sh enter.sh VERB [ARGUMENT...]
# Answers are events on standard output. Standard input stays open for as long as somebody is watching.
set -u
cd "${0%/*}" || exit 1
kit=$PWD
. ./values.sh
. ./lib.sh
exec 3>&1
emit() { printf '\036%s\n' "$1" >&3; }

# refuse TEXT [HINT [EXIT]]: nothing was started. (No secret is among what is said here.)
refuse() {
    event "\"event\":\"refuse\",\"text\":\"$(escaped "$1")\",\"hint\":\"$(escaped "${2:-}")\",\"exit\":${3:-2}"
    leave
}

leave() {
    rm -rf "$kit"
    exit
}

answer() { event "\"event\":\"answer\",\"name\":\"$1\",\"value\":\"$(escaped "${2:-}")\""; }

tools() {
    for tool in git flock setsid mkfifo awk sed sort sync tail tr; do
        has "$tool" || refuse "$tool is not installed on the server" "Install it: flock and setsid are in util-linux."
    done
}

# The checkout must be there and ours before its lock can be looked for.
checkout() {
    [ -d "$path" ] || refuse "there is no folder $path on the server" \
        "Clone the application there first: git clone URL '$path'; or correct the key path."
    git_folder=$(git -C "$path" rev-parse --absolute-git-dir 2>/dev/null)
    if [ -z "$git_folder" ]; then
        [ "$(ls -ld "$path" | awk '{ print $3 }')" = "$(id -un)" ] ||
            refuse "the checkout $path belongs to another user, and git will not work in it" \
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
    lock=$git_folder/backstay.lock
    [ -e "$lock" ] || (mark "$lock" && chmod 666 "$lock")
    [ -r "$lock" ] || refuse "cannot open the lock $lock" "Check the rights of that folder."
    exec 9<"$lock"
}

holder() { sed -n "$1p" "$lock" | tr -d '\000-\037'; }

busy() {
    event "\"event\":\"busy\",\"release\":\"$(escaped "$(holder 1)")\",\"by\":\"$(escaped "$(holder 2)")\",\
\"since\":\"$(escaped "$(holder 3)")\",\"step\":\"$(escaped "$(holder 5)")\""
    leave
}

# abandoned: the runner is gone, and its guard is ending the step that it left.
abandoned() {
    left=$(holder 4)/releases/$(holder 1)/alive
    [ -r "$left" ] && flock -n -s "$left" true
}

# take_lock: a question or a runner at its very end may have it for a moment, what is abandoned for some seconds.
take_lock() {
    tools
    open_lock
    waited=0
    until flock -n 9; do
        [ "$?" = 1 ] || refuse "cannot lock $lock" "Is the checkout on a network file system without locks?"
        [ "$waited" = 0 ] || { [ "$waited" -lt 30 ] && abandoned; } || busy
        waited=$((waited + 1))
        sleep 1
    done
    [ ! -s "$state/checkout" ] || [ "$(cat "$state/checkout")" = "$path" ] ||
        refuse "the records in $state are of another checkout, $(cat "$state/checkout")" \
            "Give this target a folder of its own: the key state."
    [ ! -s "$lock" ] || [ "$(holder 4)" = "$state" ] ||
        refuse "release $(holder 1) of $(holder 2) was interrupted and is not undone yet" \
            "Its records are in $(holder 4): fab recover, as that user, undoes it." 3
}

# unfinished: the release that has no end yet. One that was killed after it wrote its outcome has one.
unfinished() {
    open=$(cat "$state/unfinished" 2>/dev/null)
    case $(cat "$state/releases/$open/outcome" 2>/dev/null) in
        '' | *' 3') printf '%s' "$open" ;;
    esac
}

# interrupted: the unfinished release; nothing when there is none.
interrupted() {
    old=$(unfinished)
    [ -z "$old" ] || intact "$state/releases/$old" ||
        refuse "release $old is not finished, and its records are gone or damaged" \
            "Put the server right by hand; then, on the server: rm $state/unfinished" 3
}

# install: the kit becomes the release's folder, in one go.
install() {
    release=$state/releases/$id
    [ ! -e "$release" ] || refuse "a release $id exists already" "Try again in a second."
    for new in "$state"/releases/.new-*; do [ ! -e "$new" ] || rm -rf "$new"; done
    new=$state/releases/.new-$id
    if ! { fill "$new" && mv "$new" "$release"; } 2>/dev/null; then
        rm -rf "$new"
        refuse "cannot write to $state on the server" "Is the disk full? May this user write there?"
    fi
    rm -rf "$kit"
    cd "$release" || exit 1
}

fill() {
    mkdir -p "$state/releases" && chmod 700 "$state" && cp -R "$kit" "$1" && mkdir "$1/facts" || return
    printf '%s\n' "$lock" >"$1/lock_file" || return
    [ -s "$state/checkout" ] || put "$state/checkout" "$path" || return
    [ ! -s "$state/current" ] || cp "$state/current" "$1/previous" || return
    mark "$1/journal" && mark "$1/alive"
}

# launch MODE: the runner goes on by itself, with the locks; the connection may go. A follower that looks whether the
# runner is gone has the lock for a moment.
launch() {
    printf '%s\n' "${release##*/}" "$by" "$(date +%s)" "$state" start 2>/dev/null 1<>"$lock"
    exec 8>>"$release/alive"
    flock 8
    setsid sh "$release/runner.sh" "$release" "$1" 3>&- </dev/null >>"$release/runner.log" 2>&1 &
    exec 8>&- 9>&-
}

# follow OFFSET: the journal from that byte on, until the other side has seen enough or is gone.
follow() {
    event "\"event\":\"hello\",\"release\":\"${release##*/}\",\"offset\":$1"
    exec 4<&0
    tail -c "+$(($1 + 1))" -f "$release/journal" &
    tail=$!
    flock -s "$release/alive" true &
    runner=$!
    (cat <&4 >/dev/null && kill "$tail" "$runner" 2>/dev/null) >/dev/null 3>&- &
    ! wait "$runner" 2>/dev/null || gone
    wait "$tail" 2>/dev/null
    leave
}

# gone: the runner is. It was killed before it wrote the outcome, or between that and its last words.
gone() {
    if [ ! -s "$release/outcome" ]; then
        sleep 1
        event '"event":"lost"'
        return
    fi
    case $(tail -c 200 "$release/journal" | tr -d '\000') in *'"event":"end"'*) return ;; esac
    read -r outcome code <"$release/outcome"
    last_words="\"event\":\"end\",\"outcome\":\"$outcome\",\"exit\":$code"
    # shellcheck disable=SC2329
    (emit() { printf '\036%s\n' "$1" >>"$release/journal"; } && event "$last_words") || event "$last_words"
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
    interrupted
    [ -z "$old" ] || printf '%s\n' "$state/releases/$old" >recover_from
    install
    launch run
    follow 0
}

# verb_operate: what is no release, under the same lock. It settles nothing.
verb_operate() {
    take_lock
    interrupted
    [ -z "$old" ] || refuse "release $old is not finished" "fab recover undoes it." 3
    install
    launch run
    follow 0
}

# verb_rollback BACK_TO: undo the current release, or all down to BACK_TO.
verb_rollback() {
    take_lock
    interrupted
    [ -z "$old" ] || refuse "release $old is not finished" "fab recover undoes it." 3
    undo=$(cat "$state/current" 2>/dev/null)
    [ -n "$undo" ] || refuse "there is nothing to go back to: no release is deployed here"
    [ "$undo" != "$1" ] || refuse "release $1 is the one that is deployed" "There is nothing to roll back."
    rm -f of
    while [ -n "$undo" ] && [ "$undo" != "$1" ]; do
        if [ ! -d "$state/releases/$undo/steps" ] || grep -qxF -e "$undo" of 2>/dev/null; then
            refuse "there is nothing to go back to: release $undo is not kept" "Deploy the commit that you want instead."
        fi
        intact "$state/releases/$undo" ||
            refuse "the records of release $undo are damaged" "Deploy the commit that you want instead."
        printf '%s\n' "$undo" >>of
        undo=$(cat "$state/releases/$undo/previous" 2>/dev/null)
        [ -n "$1" ] || break
    done
    [ -z "$1" ] || [ "$undo" = "$1" ] || refuse "release $1 is not among those before the current one" \
        "fab history lists them."
    install
    launch run
    follow 0
}

verb_recover() {
    take_lock
    interrupted
    if [ -z "$old" ]; then
        true 2>/dev/null >"$lock"
        answer nothing
        leave
    fi
    known_release "$old"
    offset=$(size "$release/journal")
    launch undo
    follow "$offset"
}

# A person has put right what could not be undone.
verb_accept() {
    take_lock
    old=$(unfinished)
    [ -n "$old" ] || refuse "there is nothing to accept: no release is unfinished"
    [ ! -d "$state/releases/$old" ] || put "$state/releases/$old/outcome" "failed 3"
    rm -f "$state/unfinished"
    true 2>/dev/null >"$lock"
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
    mark "$release/cancel" ||
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
    elif [ -n "$(unfinished)" ]; then
        answer interrupted "$(unfinished)"
    elif [ -s "$lock" ] && [ "$(holder 4)" != "$state" ]; then
        answer interrupted "$(holder 1)"
    fi
    exec 9<&-
    answer commit "$(head_commit)"
    answer branch "$(git_ symbolic-ref --quiet --short HEAD)"
    . ./status.sh
    leave
}

# verb_doctor: what the server and the application are like.
verb_doctor() {
    . ./doctor.sh
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
        grep -a -o "$(printf '\036').*" "$release/journal" | grep -a -v '"event":"alive"'
    done
    leave
}

# verb_ask WORD...: what the deployed migrations say, masked; then whether they could.
verb_ask() { tell_all ask.sh "$@"; }

# verb_plan: what a deployment would bring, likewise.
verb_plan() { tell_all plan.sh; }

# tell_all SCRIPT WORD...
tell_all() {
    script=$1
    shift
    tools
    checkout
    mkdir -p facts
    answer asked
    # shellcheck source=/dev/null
    (. "./$script") </dev/null >said 2>complaints
    asked=$?
    mask <said | cat
    [ "$asked" = 0 ] || grep -Ev '^ *(Container|Network|Volume) ' complaints | mask | cat
    answer status "$asked"
    leave
}

# verb_backups: the records of all backups, without their tables.
verb_backups() {
    . ./backup.sh
    newest_first | while read -r _ name; do
        answer backup "$name"
        while read -r key value; do
            [ "$key" = table ] || answer "$key" "$value"
        done <"$backups/$name.info"
    done
    leave
}

# verb_logs LINES SINCE FOLLOW: masked, each line with its time first.
verb_logs() {
    checkout
    # shellcheck disable=SC2034
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
