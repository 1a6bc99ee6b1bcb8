# shellcheck shell=sh
# One script of a step, from its start to the end of its output: run, filter, time limit, cancel. Read by runner.sh,
# in the release's folder.
#
# The lock is kept by the runner, by the guard and by the leader of the step's session, so that nobody else starts while
# an orphaned step still works; what a step starts has neither the lock nor FOLDER/alive. Functions that go to the
# background close a descriptor by `exec`, since the shell keeps a copy of what it closes for a function alone; and by
# an `exec` of its own, since busybox keeps one until all of its redirections are made.

awk_is=$(awk -W version 2>&1 </dev/null)
export awk_is
# What the filter takes for the end of a step's output.
eof="[$id: end of output $$]"

# make_pipe: a fresh one, since a part of a filter that was killed may still read the old one. Both its ends are open
# here, on 7: nobody who opens it waits, for ever, for a partner that was killed.
pipe=$PWD/pipe
make_pipe() {
    rm -f pipe
    mkfifo pipe || pipe=/dev/null
    exec 7<>"$pipe"
}

# make_gate: nothing passes it (6) before somebody opens it (5), and nothing does when all who could are gone.
make_gate() {
    rm -f gate
    if mkfifo gate; then exec 6<>gate && exec 5>gate && exec 6<gate && rm gate; else exec 5>/dev/null 6<lock_file; fi
}

# wait_for PID: its exit status. A signal interrupts `wait`, maybe just when the child has ended: then ask once more.
wait_for() {
    while wait "$1"; status=$?; [ "$status" -gt 128 ] && kill -s 0 "$1" 2>/dev/null; do :; done
    if [ "$status" -gt 128 ]; then
        wait "$1" 2>/dev/null
        again=$?
        [ "$again" = 127 ] || status=$again
    fi
    return "$status"
}

# work FOLDER SCRIPT: the step's process. Its leader waits with the lock for its guard, and then for the script, which
# has no lock.
work() {
    exec 8>&- 5>&-
    exec </dev/null >"$pipe" 2>&1 7>&-
    # shellcheck disable=SC2016
    cd "$1" && exec setsid sh -c 'read -r _ <&6 && exec 6<&- && sh "$0" 9>&-; exit' "$2"
}

# filter: the step's output, masked and bounded, to the journal. When the disk is full it must go on reading, lest
# the step, or an undo, dies of a broken pipe; a line without end must not take all the memory.
filter() {
    exec 8>&- 9>&- 5>&- 6<&-
    exec <"$pipe" >>"$journal" 7>&-
    trap '' INT TERM
    # shellcheck disable=SC3045
    (ulimit -v 1000000; mask limit="$output_limit" eof="$eof") && return
    while IFS= read -r line; do case $line in *"$eof") return ;; esac; done
}

# The filter ends here, also when a daemon of the step's still holds the other end.
end_output() { printf '%s\n' "$eof" 1<>"$pipe"; }

# guard PID SECONDS: opens the gate; a heartbeat every 5 s; ends PID's process group when the time is up, when a cancel
# was asked for, or when the runner is gone. Seconds are counted, not read off the clock, which may jump.
guard() {
    exec 7>&- 8>&- 6<&-
    exec </dev/null >/dev/null 2>&1
    trap '' INT TERM
    echo >&5
    exec 5>&-
    second=0 stop=''
    while sleep 1 9>&-; do
        second=$((second + 1))
        [ $((second % 5)) != 0 ] || event '"event":"alive"'
        if [ -z "$stop" ]; then
            [ "$second" -lt "$2" ] || stop=timeout
            [ "$cancellable" != yes ] || [ ! -e cancel ] || stop=cancelled
            kill -s 0 "$$" || stop=orphaned
            [ -n "$stop" ] || continue
            printf '%s\n' "$stop" >why
            patience=$((second + 10))
            end_group TERM "$1"
        elif [ "$second" -ge "$patience" ]; then
            end_group KILL "$1"
        fi
        kill -s 0 "$1" || kill -s 0 -- "-$1" || break
    done
    [ "$stop" != orphaned ] || end_output
}

# end_group SIGNAL PID: just started, a process has no group of its own yet.
end_group() { kill -s "$1" -- "-$2" || kill -s "$1" "$2"; } 2>/dev/null

forget_why() { [ ! -e why ] || rm -f why; }

# execute FOLDER SCRIPT SECONDS: SCRIPT's exit status, run in the release's FOLDER; output goes, filtered, to the
# journal. The file `why` says so if it was ended.
execute() {
    forget_why
    make_pipe
    make_gate
    filter &
    filter=$!
    work "$1" "$2" &
    child=$!
    guard "$child" "$3" &
    guard=$!
    exec 5>&- 6<&-
    wait_for "$child"
    result=$?
    end_group KILL "$child"
    kill -s KILL "$guard"
    wait "$guard" 2>/dev/null
    end_output
    wait_for "$filter"
    return "$result"
}
