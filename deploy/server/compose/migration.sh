# shellcheck shell=sh
# The migration service: its image, its runs, its database.

ready_migration() {
    load
    check_services
    # shellcheck disable=SC2086
    up_missing $services $migrate_service
    note_image migrate "$migrate_service" migrate-before || fail "the old image of $migrate_service could not be kept"
    compose build "$migrate_service" || fail "the image of $migrate_service could not be built"
    put facts/migrate.image "$(image_id "$(image_name "$migrate_service")")"
    [ -n "$(recall migrate.image)" ] || fail "the build left no image $(image_name "$migrate_service")"
    keep_image "$(recall migrate.image)" "$(image_name "$migrate_service")" migrate
}

use_migration() {
    load
    up_missing "$migrate_service"
    docker_ image tag "$(recall migrate.image)" "$(recall "migrate.$migrate_service.name")"
}

# ready_database: the migration service as it is deployed, for what is no release. Its image is what a name leads to.
ready_database() {
    ready_engine
    check_services
    now=$(image_id "$(image_name "$migrate_service")")
    [ -n "$now" ] || fail "there is no image of $migrate_service on the server" "fab deploy builds it."
    there=$(deployed_facts)
    [ ! -e "$there/migrate.image" ] || cat "$there/migrate.image" "$there"/build.*.after 2>/dev/null | grep -qxF "$now" ||
        fail "the image $(image_name "$migrate_service") is not the one that is deployed" \
            "Somebody built it since: fab deploy, or on the server: docker tag $(cat "$there/migrate.image") $(image_name "$migrate_service")"
}

# can_plan: is what migrates there, for a look at another commit's migrations?
can_plan() {
    [ -n "$(image_id "$(image_name "$migrate_service")")" ] ||
        unknown "there is no image of $migrate_service on the server yet"
}

run_migration() {
    set --
    while IFS= read -r word; do
        [ -z "$word" ] || set -- "$word" "$@"
    done <<WORDS
$migrate_command
WORDS
    if [ $# -gt 0 ] && [ -n "$migrate_workdir" ]; then
        # shellcheck disable=SC2016
        set -- sh -c 'cd "$0" && exec "$@"' "$migrate_workdir" "$@"
    fi
    run_once "backstay-$id-migrate" -e "PGAPPNAME=backstay-$id" "$migrate_service" "$@"
}

stop_migration() {
    reach_docker
    for run in migrate probe; do
        stop_run "backstay-$id-$run" || fail "the container backstay-$id-$run could not be stopped"
    done
}

# restore_migration: the image's name, and the services that only this release had started.
restore_migration() {
    restore_image migrate "$migrate_service" || fail "the image of $migrate_service could not get its name back"
    if known "migrate.$migrate_service.name"; then
        let_go "$(recall "migrate.$migrate_service.name")" migrate
        let_go "$(recall "migrate.$migrate_service.name")" migrate-before
    fi
    drop_image "$(recall migrate.image)"
    stop_started
}

# beside TOOL WORD...: one of our scripts in the container of the database at $host.
beside() {
    container=$([ -z "$host" ] || containers "$host" | head -n 1)
    : "${container:=$([ -z "$host" ] || docker_ ps -q --no-trunc --filter "name=^/$host\$")}"
    [ -n "$container" ] || no_dump "the database's host ${host:-(none)} is no service of the compose file"
    script=$(cat "$1")
    shift
    docker_ exec -i -e "PGAPPNAME=backstay-$id" "$container" sh -c "$script" backstay "$@"
}

# sqlite_out FILE, sqlite_in FILE: through the migration container, which has the database's volume.
sqlite_out() { probe sqlite-backup && sed -n 's/^backstay data //p' facts/probe.sqlite-backup | base64 -d >"$1"; }
# shellcheck disable=SC2034
sqlite_in() (input=$1 && shift && probe sqlite-restore "$@")

# pause_services [AGAIN]: the application's containers stop; facts/paused says which ran, and how well.
pause_services() {
    if [ -z "${1:-}" ] && ! known paused; then
        ran=''
        for service in $services; do
            ids=$(containers "$service") || return
            # shellcheck disable=SC2086
            ran="$ran $(inspect '{{if .State.Running}}{{.Id}}{{end}}' $ids)" || return
        done
        put facts/paused.state "$(for service in $services; do state_of "$service"; done)"
        # shellcheck disable=SC2116,SC2086
        put facts/paused "$(echo $ran)"
        ! url_answers || put facts/paused.answered yes
    fi
    # shellcheck disable=SC2046
    [ -z "$(recall paused)" ] || docker_ stop $(recall paused) >/dev/null
}

resume_services() {
    [ -n "$(recall paused)" ] || return 0
    # shellcheck disable=SC2034
    why="could not be started again"
    # shellcheck disable=SC2046
    docker_ start $(recall paused) >/dev/null || return
    case $(recall paused.state) in *unhealthy* | *exited* | *restarting*) return 0 ;; esac
    # shellcheck disable=SC2034
    known paused.answered || health_url=''
    # shellcheck disable=SC2086
    await $services || { show_logs $services; return 1; }
}
