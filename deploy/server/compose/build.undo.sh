# shellcheck shell=sh
. ./values.sh
. ./lib.sh
. ./engine.sh

reach_docker
for service in $services; do
    restore_image build "$service" || fail "the image of $service could not get its name back"
done
for service in $services; do
    known "build.$service.name" || continue
    let_go "$(recall "build.$service.name")" before
    [ "$(recall "build.$service.after")" = "$(recall migrate.image)" ] || drop_image "$(recall "build.$service.after")"
done
