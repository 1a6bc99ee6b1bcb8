# shellcheck shell=sh
# restart: new containers of the images just built, without what they depend on; then they must be healthy, and stay so.
. ./values.sh
. ./lib.sh
. ./engine.sh
. ./health.sh

loaded || load
for service in $services; do
    was=$(runs "$service") || fail "docker does not say what $service runs"
    put "facts/restart.$service.before" "$was"
    was=$(state_of "$service") || fail "docker does not say how $service is"
    put "facts/restart.$service.state" "${was%% *}"
    # shellcheck disable=SC2046
    [ "${was%% *}" = absent ] || ! listen $(containers "$service") || put "facts/restart.$service.listened" yes
    # The name may have moved on from what runs: what runs is what comes back.
    old=$(awk 'NR == 1 { print $1 }' "facts/restart.$service.before")
    [ -z "$old" ] || keep_image "$old" "$(recall "build.$service.name")" before ||
        fail "the old image of $service could not be kept"
done
# shellcheck disable=SC2086
[ -n "$migrate" ] || up_missing $services
! url_answers || put facts/restart.answered yes
main=${services%% *}
put facts/new.runs yes
fact image.before "$(awk 'NR == 1 { print $1 }' "facts/restart.$main.before")"
# shellcheck disable=SC2086
up $services || { show_logs $services; fail "the new containers did not start"; }
# shellcheck disable=SC2086
await $services || { show_logs $services; fail "the new release $why"; }
for service in $services; do
    # shellcheck disable=SC2046
    new=$(inspect '{{.Image}}' $(containers "$service") | sort -u)
    [ "$new" = "$(recall "build.$service.after")" ] || fail "$service does not run the image that was built"
done
fact image.after "$(recall "build.$main.after")"
