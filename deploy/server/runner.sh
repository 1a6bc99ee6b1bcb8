#!/bin/sh
# Carries a release out on the server, or undoes it. docs/runner.md explains every record.
#
#   sh runner.sh FOLDER run       the steps in order; when one fails, the undo of those begun, in reverse order
#   sh runner.sh FOLDER undo      after an interruption: the undo alone
#
# The caller holds the lock on descriptor 9 and an exclusive lock on FOLDER/alive on descriptor 8. Every child but
# the step itself closes 9; the step keeps it, so that nobody else starts while an orphaned step still works.
set -u
cd "$1" || exit 1
. ./values.sh
. ./lib.sh
export journal="$PWD/journal"
lock_file=$(cat lock_file)

trap '' HUP
trap ': >cancel' INT TERM

# guard PID SECONDS: a heartbeat every 5 s; ends PID's process group when the time is up, when a cancel was asked for,
# or when the runner is gone. Seconds are counted, not read off the clock, which may jump.
guard() {
    second=0 stop=''
    while sleep 1; do
        second=$((second + 1))
        [ $((second % 5)) = 0 ] && event '"event":"alive"'
        if [ -z "$stop" ]; then
            [ "$second" -ge "$2" ] && stop=timeout
            [ -e cancel ] && [ "$cancellable" = yes ] && stop=cancelled
            kill -s 0 "$$" 2>/dev/null || stop=orphaned
            [ -z "$stop" ] && continue
            printf '%s\n' "$stop" >why
            kill -s TERM -- "-$1" 2>/dev/null
            patience=$((second + 10))
        elif [ "$second" -ge "$patience" ]; then
            kill -s KILL -- "-$1" 2>/dev/null
        fi
        kill -s 0 -- "-$1" 2>/dev/null || return
    done
}

# execute FOLDER SCRIPT SECONDS: SCRIPT's exit status, run in the release's FOLDER; output goes, filtered, to the
# journal. The file `why` says so if it was ended.
execute() {
    rm -f why
    [ -p pipe ] || mkfifo pipe
    mask limit="$output_limit" <pipe >>"$journal" 8>&- 9>&- &
    filter=$!
    (cd "$1" && exec setsid sh "$2") </dev/null >pipe 2>&1 8>&- &
    child=$!
    guard "$child" "$3" </dev/null >/dev/null 2>&1 8>&- 9>&- &
    guard=$!
    # A signal interrupts `wait`; the child is gone only when its status could be had.
    while wait "$child"; status=$?; kill -s 0 "$child" 2>/dev/null; do :; done
    kill -s KILL -- "-$child" 2>/dev/null
    kill "$guard" 2>/dev/null
    drain
    return "$status"
}

# drain: the filter ends when the step's last process has closed its output. A daemon that kept it is not waited for.
drain() {
    (sleep 2 && kill "$filter") 2>/dev/null 8>&- 9>&- &
    late=$!
    wait "$filter"
    kill "$late" 2>/dev/null
}

# hold STEP: tell those who find the lock taken, who has it.
hold() {
    printf '%s\n' "$id" >"$state/unfinished"
    printf '%s\n' "$id" "$by" "$since" "$state" "$1" 2>/dev/null >"$lock_file"
}

name_of() { n=${1##*/} && printf '%s' "${n#*-}"; }

do_step() {
    name=$(name_of "$1")
    hold "$name"
    event "\"event\":\"step\",\"step\":\"$name\",\"state\":\"begin\""
    : >"$1/begun" || return
    [ ! -s "$1/undo" ] || durable "$1/begun"
    execute "$PWD" "$1/do" "$(cat "$1/timeout")"
    status=$?
    if [ "$status" = 0 ] && [ ! -e why ]; then
        : >"$1/done"
        event "\"event\":\"step\",\"step\":\"$name\",\"state\":\"done\""
        return
    fi
    why=$(cat why 2>/dev/null || echo failed)
    event "\"event\":\"step\",\"step\":\"$name\",\"state\":\"failed\",\"rc\":$status,\"why\":\"$why\""
    return 1
}

undo_step() {
    name=$(name_of "$1")
    hold "undo of $name"
    if [ -s "$1/undo" ]; then
        event "\"event\":\"undo\",\"step\":\"$name\",\"state\":\"begin\""
        if ! execute "${1%/steps/*}" "$1/undo" "$undo_timeout"; then
            event "\"event\":\"undo\",\"step\":\"$name\",\"state\":\"failed\""
            return 1
        fi
        event "\"event\":\"undo\",\"step\":\"$name\",\"state\":\"done\""
    fi
    : >"$1/undone"
}

# undo_release FOLDER: the undo of every step begun and not yet undone, last first. An undo that fails does not keep
# the others from their work, and is tried once more after them.
undo_release() {
    cancellable=no
    for turn in 1 2; do
        left=''
        for step in $(cd "$1/steps" && printf '%s\n' * | sort -r); do
            step=$1/steps/$step
            if [ -e "$step/begun" ] && [ ! -e "$step/undone" ]; then
                undo_step "$step" || left=yes
            fi
        done
        [ -z "$left" ] && return
    done
    return 1
}

touched() {
    for step in steps/*; do [ -e "$step/begun" ] && [ -s "$step/undo" ] && return; done
    return 1
}

# end OUTCOME EXIT: the last words. The outcome is written before the lock is let go, the marks are cleared after it.
end() {
    rm -f reserve pipe cancel
    put outcome "$1 $2"
    if [ "$2" != 3 ]; then
        rm -f "$state/unfinished"
        : 2>/dev/null >"$lock_file"
    fi
    event "\"event\":\"end\",\"outcome\":\"$1\",\"exit\":$2"
    exit "$2"
}

deployed() {
    put "$state/current" "$id"
    [ ! -s finish ] || execute "$PWD" ./finish 300 || say warn "old releases could not be tidied up"
    end deployed 0
}

# as_before FOLDER: what is on the server now is what was there before that release.
as_before() {
    for what in commit heads image; do
        [ ! -e "$1/facts/$what.before" ] || fact "$what.after" "$(cat "$1/facts/$what.before")"
    done
}

# undone OUTCOME EXIT: after a failure.
undone() {
    rm -f reserve
    undo_release "$PWD" || end failed 3
    (as_before "$PWD")
    touched || { [ "$1" = failed ] && end refused 2; }
    end "$1" "$2"
}

run_deploy() {
    cancellable=yes
    for step in steps/*; do
        [ ! -e cancel ] || undone cancelled 130
        do_step "$step" && { [ ! -e facts/unchanged ] || end deployed 0; } && continue
        [ "$(cat why 2>/dev/null)" = cancelled ] && undone cancelled 130
        undone failed 1
    done
    deployed
}

# A rollback has one step of its own, the check, and then the undo of other releases, the newest first.
run_rollback() {
    cancellable=no
    for step in steps/*; do do_step "$step" || end refused 2; done
    undo_others
}

undo_others() {
    while read -r other; do
        undo_release "$state/releases/$other" || end failed 3
        previous=$(cat "$state/releases/$other/previous" 2>/dev/null)
        if [ -n "$previous" ]; then put "$state/current" "$previous"; else rm -f "$state/current"; fi
        put "$state/releases/$other/outcome" "rolled-back 0"
        (as_before "$state/releases/$other")
    done <of
    end rolled-back 0
}

# After an interruption: what was all done stands, a rollback goes on, anything else is undone.
recover() {
    if [ "$kind" = rollback ]; then undo_others; fi
    for step in steps/*; do [ -e "$step/done" ] || undone failed 1; done
    deployed
}

main() {
    since=$(date +%s)
    rm -f outcome cancel
    hold start
    steps=$(for step in steps/*; do printf ',"%s"' "$(name_of "$step")"; done)
    event "\"event\":\"release\",\"kind\":\"$kind\",\"release\":\"$id\",\"by\":\"$(json "$by")\",\"steps\":[${steps#,}]"
    event "\"event\":\"fact\",\"name\":\"version\",\"value\":\"$(json "$version")\""
    dd if=/dev/zero of=reserve bs=1024 count=256 2>/dev/null
    case $1 in
        undo) recover ;;
        *) "run_$kind" ;;
    esac
}

main "$2"
exit
