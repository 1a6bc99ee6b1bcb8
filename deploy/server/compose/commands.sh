# shellcheck shell=sh
# commands: those of a deployment, as one would type them: the steps' own functions, whose commands are told, not run.
# `line` tells it.
commands() (
    # shellcheck disable=SC2329
    call() { line "$@"; }
    # shellcheck disable=SC2329
    docker_() { :; }
    git_() { line git "$@"; }
    line cd "$path"
    fetch
    git_ merge --ff-only "$wanted"
    if [ -n "$migrate" ]; then
        compose build "$migrate_service"
        run_migration
    fi
    # shellcheck disable=SC2086
    compose build ${build_fresh:+--no-cache} ${build_pull:+--pull} $services
    # shellcheck disable=SC2086
    up $services
    exit 0
)
