#!/bin/sh
# Carries a release out on the server, or undoes it. docs/runner.md explains every record.
#
#   sh runner.sh FOLDER run       the steps in order; when one fails, the undo of those begun, in reverse order
#   sh runner.sh FOLDER undo      after an interruption: what was all done stands, anything else is undone
#
# The caller holds the lock on descriptor 9 and an exclusive lock on FOLDER/alive on descriptor 8.
set -u
cd "$1" || exit 1
. ./values.sh
. ./lib.sh
. ./execute.sh
export journal="$PWD/journal"
read -r lock <lock_file
cancellable=no safe='' settled=''

trap '' HUP
trap 'mark cancel' INT TERM

# hold STEP: tell those who find the lock taken, who has it. Written over, since a full disk would leave it empty.
hold() { printf '%s\n' "$id" "$by" "$since" "$state" "$1" 2>/dev/null 1<>"$lock"; }

name_of() { name=${1##*/} && name=${name#*-}; }

do_step() {
    name_of "$1"
    hold "$name"
    event "\"event\":\"step\",\"step\":\"$name\",\"state\":\"begin\""
    result=1
    forget_why
    if begin "$1" && execute "$PWD" "$1/do" "$seconds" && [ ! -e why ] && mark "$1/done"; then
        event "\"event\":\"step\",\"step\":\"$name\",\"state\":\"done\""
        return
    fi
    why=$(cat why 2>/dev/null)
    : "${why:=$(touched && echo failed || echo refused)}"
    event "\"event\":\"step\",\"step\":\"$name\",\"state\":\"failed\",\"rc\":$result,\"why\":\"$why\""
    return 1
}

# begin STEP: the record that it has begun is on the disk before it acts; before the first that has an undo, all of
# the release is.
begin() {
    read -r seconds <"$1/timeout"
    mark "$1/begun" || { say error "cannot write to $1" "Is the disk full?" && return 1; }
    [ -s "$1/undo" ] || return 0
    if [ -n "$safe" ]; then durable "$1/begun"; else sync -f . 2>/dev/null || sync; fi || return
    safe=yes
}

undo_step() {
    name_of "$1"
    hold "undo of $name"
    rm -f "$1/done"
    if [ -s "$1/undo" ]; then
        event "\"event\":\"undo\",\"step\":\"$name\",\"state\":\"begin\""
        if ! execute "${1%/steps/*}" "$1/undo" "$undo_timeout"; then
            event "\"event\":\"undo\",\"step\":\"$name\",\"state\":\"failed\",\"rc\":$result"
            return 1
        fi
        event "\"event\":\"undo\",\"step\":\"$name\",\"state\":\"done\""
    fi
    mark "$1/undone"
}

# undo_release FOLDER: the undo of every step begun and not yet undone, last first. An undo that fails does not keep
# the others from their work, and is tried once more after them.
undo_release() {
    cancellable=no
    if [ ! -d "$1/facts" ] || ! intact "$1"; then
        say error "the records in $1 are gone or damaged" "What that release changed has to be put right by hand."
        return 1
    fi
    for _ in 1 2; do
        left=''
        for step in $(cd "$1/steps" && printf '%s\n' * | sort -r); do
            step=$1/steps/$step
            if [ -e "$step/begun" ] && [ ! -e "$step/undone" ]; then undo_step "$step" || left=yes; fi
        done
        [ -n "$left" ] || return 0
    done
    return 1
}

# undo_others FOLDER: the releases that a rollback is about, the newest first.
undo_others() {
    # shellcheck disable=SC2013
    for other in $(cat "$1/of"); do
        other=$state/releases/$other
        undo_release "$other" || return
        previous=$(cat "$other/previous" 2>/dev/null)
        if [ -n "$previous" ]; then put "$state/current" "$previous"; else rm -f "$state/current"; fi || return
        put "$other/outcome" "rolled-back 0"
    done
}

all_done() {
    for step in "$1"/steps/*; do [ -e "$step/done" ] || return; done
}

touched() {
    for step in steps/*; do [ -e "$step/begun" ] && [ -s "$step/undo" ] && return; done
    return 1
}

# settle FOLDER: what an interruption left. What was all done stands, a rollback that was checked goes on, anything
# else is undone.
kind_of() { (. "$1/values.sh" && printf '%s' "$kind"); }
settle() {
    if ! all_done "$1"; then
        verdict="failed 1"
        undo_release "$1"
    elif [ -e "$1/of" ]; then
        verdict="rolled-back 0"
        undo_others "$1"
    elif [ "$(kind_of "$1")" = deploy ]; then
        verdict="deployed 0"
        put "$state/current" "${1##*/}"
    else
        verdict="done 0"
    fi
}

# settle_first: a deployment that finds an interrupted release settles that one before it begins.
settle_first() {
    old=$(cat recover_from)
    hold recover
    event '"event":"step","step":"recover","state":"begin"'
    if ! settle "$old" || ! put "$old/outcome" "$verdict"; then
        event '"event":"step","step":"recover","state":"failed","rc":1,"why":"failed"'
        say error "release ${old##*/} was interrupted and could not be undone" \
            "fab attach ${old##*/} shows what is left; fab recover tries again."
        id=${old##*/}
        hold recover
        end refused 3
    fi
    event '"event":"step","step":"recover","state":"done"'
    rm -f previous
    [ ! -s "$state/current" ] || cp "$state/current" previous
}

# end OUTCOME EXIT: the last words. The marks are cleared only after the outcome is written.
end() {
    rm -f reserve last cancel pipe
    put outcome "$1 $2"
    if [ "$2" != 3 ] || [ -n "$settled" ]; then rm -f "$state/unfinished" && true 2>/dev/null >"$lock"; fi
    event "\"event\":\"end\",\"outcome\":\"$1\",\"exit\":$2"
    exit "$2"
}

# as_before FOLDER: what is on the server now is what was there before that release.
as_before() {
    for what in commit heads image; do
        [ ! -e "$1/facts/$what.before" ] || fact "$what.after" "$(cat "$1/facts/$what.before")"
    done
}

finish_deploy() {
    cancellable=no
    put "$state/current" "$id" || undone failed 1
    tidy
    end deployed 0
}

finish_other() {
    cancellable=no
    tidy
    end "done" 0
}

tidy() { [ ! -s finish ] || execute "$PWD" ./finish 300 || say warn "what is old could not be tidied up"; }

finish_rollback() {
    undo_others "$PWD" || end failed 3
    (as_before "$other")
    end rolled-back 0
}

finish() {
    case $kind in
        deploy) finish_deploy ;;
        rollback) finish_rollback ;;
        *) finish_other ;;
    esac
}

# undone OUTCOME EXIT: after a failure.
undone() {
    rm -f reserve
    undo_release "$PWD" || end failed 3
    (as_before "$PWD")
    touched || [ "$1" != failed ] || end refused 2
    [ -n "$(cat facts/lost 2>/dev/null)" ] || end "$1" "$2"
    # All is as before but for data that only a backup holds: nothing is left that could be undone.
    settled=yes
    end "$1" 3
}

run() {
    [ ! -s recover_from ] || settle_first
    if ! put "$state/unfinished" "$id" || ! make_reserve; then
        say error "cannot write to $state on the server" "Is the disk full?"
        end refused 2
    fi
    [ "$kind" = rollback ] || cancellable=yes
    for step in steps/*; do
        [ "$cancellable" = no ] || [ ! -e cancel ] || undone cancelled 130
        if do_step "$step"; then
            [ ! -e facts/unchanged ] || { [ "$kind" != deploy ] || end deployed 0; end "done" 0; }
            continue
        fi
        [ "$(cat why 2>/dev/null)" != cancelled ] || undone cancelled 130
        undone failed 1
    done
    finish
}

undo() {
    make_reserve
    all_done "$PWD" || undone failed 1
    finish
}

# Room for what an undo writes, and for the last words.
make_reserve() {
    dd if=/dev/urandom of=reserve bs=1024 count=256 2>/dev/null && dd if=/dev/urandom of=last bs=1024 count=16 2>/dev/null
}

main() {
    since=$(date +%s) names=''
    rm -f outcome
    [ ! -s recover_from ] || names=',"recover"'
    for step in steps/*; do name_of "$step" && names="$names,\"$name\""; done
    hold start
    event "\"event\":\"release\",\"kind\":\"$kind\",\"release\":\"$id\",\"by\":\"$(escaped "$by")\",\"steps\":[${names#,}]"
    event "\"event\":\"fact\",\"name\":\"version\",\"value\":\"$(escaped "$version")\""
    case $1 in
        run) run ;;
        undo) undo ;;
    esac
}

main "$2"
exit
