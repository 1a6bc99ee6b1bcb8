# shellcheck shell=sh
# What ran when a release was checked runs when all of it is undone, whoever stopped it: a daemon that died, say.

# note_ran: the services that are up.
note_ran() {
    for service in $services; do
        case $(state_of "$service") in running* | healthy* | starting*) mark "facts/ran.$service" ;; esac
    done
}

# as_it_ran: those of them that have stopped are started. What the step restart noted is newer, and its undo's affair.
as_it_ran() {
    ran='' fallen=''
    for service in $services; do
        if known "ran.$service" && ! known "restart.$service.before"; then ran="$ran $service"; fi
    done
    [ -n "$ran" ] || return 0
    reach_docker
    for service in $ran; do
        now=$(state_of "$service") || fail "docker does not say how $service is"
        case $now in running* | healthy* | starting* | unhealthy* | restarting*) ;; *) fallen="$fallen $service" ;; esac
    done
    [ -n "$fallen" ] || return 0
    say warn "stopped meanwhile, and started again:$fallen"
    load
    # shellcheck disable=SC2086
    up_missing $fallen
    # shellcheck disable=SC2086
    compose up -d --no-deps --no-build --no-recreate $fallen || fail "what ran before does not start:$fallen" "$start_hint"
    # shellcheck disable=SC2086
    await $fallen || { show_logs $fallen; fail "what ran before $why:$fallen"; }
}
