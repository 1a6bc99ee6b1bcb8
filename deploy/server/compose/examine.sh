# shellcheck shell=sh
# What Docker and the application are like, for fab doctor. Read by doctor.sh, in the kit.
. ./engine.sh

look_at_docker() {
    find_docker
    answer docker "$(recall docker.version)"
    case $(recall docker) in *sudo*) answer docker.sudo yes ;; esac
    case $(docker_ version 2>/dev/null) in *odman*) answer docker.podman yes ;; esac
    answer buildx "$(docker_ buildx version 2>/dev/null | awk '{ print $2 }')"
    root=$(docker_ info --format '{{.DockerRootDir}}' 2>/dev/null)
    [ -z "$root" ] || room docker "$root"
}

look_at_compose() {
    find_compose
    answer compose "$(with "$(recall compose)" version --short 2>/dev/null)"
}

look_at_services() {
    load
    answer loaded yes
    answer compose.talks "$(compose ps -q 2>&1 >/dev/null | grep -v 'level=warning' | tail -n 1)"
    compose config 2>/dev/null | awk -f outline.awk | text config
    for service in $services $migrate_service; do
        docker_ image inspect --format '{"entrypoint":{{json .Config.Entrypoint}},"command":{{json .Config.Cmd}},"health":{{json .Config.Healthcheck}}}' \
            "$(image_name "$service")" 2>/dev/null | text "image:$service"
    done
}

answer engine compose
mkdir -p facts
if check docker look_at_docker && check compose look_at_compose; then
    check "compose file" look_at_services
fi
