# shellcheck shell=sh
# build: a fresh image of every service, without the cache.
. ./values.sh
. ./lib.sh
. ./engine.sh

loaded || load
check_services
for service in $services; do
    note_image build "$service" before || fail "the old image of $service could not be kept"
done
# shellcheck disable=SC2086
compose build ${build_fresh:+--no-cache} ${build_pull:+--pull} $services || fail "the build failed"
for service in $services; do
    new=$(image_id "$(recall "build.$service.name")")
    [ -n "$new" ] || fail "the build left no image $(recall "build.$service.name")"
    put "facts/build.$service.after" "$new"
done
