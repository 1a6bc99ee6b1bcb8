# shellcheck shell=sh
# The migration service: its image, its runs, its database.

ready_migration() {
    load
    check_services
    # shellcheck disable=SC2086
    up_missing $services $migrate_service
    note_image migrate "$migrate_service" migrate-before
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
    find_docker
    find_compose
    load
    check_services
    now=$(image_id "$(image_name "$migrate_service")")
    [ -n "$now" ] || fail "there is no image of $migrate_service on the server" "fab deploy builds it."
    there=$state/releases/$(cat "$state/current" 2>/dev/null)/facts
    [ ! -e "$there/migrate.image" ] || cat "$there/migrate.image" "$there"/build.*.after 2>/dev/null | grep -qxF "$now" ||
        fail "the image $(image_name "$migrate_service") is not the one that is deployed" \
            "Somebody built it since: fab deploy, or on the server: docker tag $(cat "$there/migrate.image") $(image_name "$migrate_service")"
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
    stop_run "backstay-$id-migrate"
    stop_run "backstay-$id-probe"
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

# dump FILE DIALECT HOST: the database's own container writes its backup.
dump() {
    # shellcheck disable=SC2046
    container=$(containers "$3" | head -n 1)
    case $2 in
        postgresql)
            [ -n "$container" ] || no_dump "the database's host $3 is no service of the compose file"
            # shellcheck disable=SC2016
            docker_ exec "$container" sh -c 'PGPASSWORD=$POSTGRES_PASSWORD exec pg_dump -Fc \
                -U "${POSTGRES_USER:-postgres}" "${POSTGRES_DB:-${POSTGRES_USER:-postgres}}"' >"$1" ||
                fail "the backup failed" "Look at the output above."
            docker_ exec -i "$container" pg_restore --list <"$1" >/dev/null || fail "the backup cannot be read back"
            ;;
        sqlite)
            probe sqlite-backup && sed -n 's/^backstay data //p' facts/probe.sqlite-backup | base64 -d >"$1"
            rm -f facts/probe.sqlite-backup
            ;;
        *) no_dump "backstay cannot back up $2 by itself" ;;
    esac
}
no_dump() { fail "no backup could be made: $1" "Set mode in [backup] to a command that prints a backup, or to \"off\"."; }
