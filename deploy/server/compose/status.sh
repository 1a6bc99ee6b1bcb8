# shellcheck shell=sh
# What is on the server now. Read by enter.sh, in the kit.
. ./git.sh
. ./engine.sh
. ./health.sh
. ./migrate.sh

mkdir -p facts
main=${services%% *}
ready_engine
# shellcheck disable=SC2046
answer image "$(inspect '{{.Image}}' $(containers "$main") | head -n 1)"
now=$(state_of "$main")
case $now in running* | healthy* | unhealthy* | starting*) answer running yes ;; esac
# shellcheck disable=SC2034
case $now in running* | healthy*) (settle=0 health_timeout=0 && await "$main") && answer healthy yes ;; esac
if [ -n "$migrate" ] && in_model "$migrate_service" && [ -n "$(image_id "$(image_name "$migrate_service")")" ]; then
    if probe state; then
        mv facts/probe.state facts/state.now
        answer heads "$(told now heads)"
    fi
fi
