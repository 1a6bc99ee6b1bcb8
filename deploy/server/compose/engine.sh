# shellcheck shell=sh
# Docker Compose, v1 and v2. Lists of words are kept one a line, the last word first: each goes before the others.

export BUILDKIT_PROGRESS=plain COMPOSE_ANSI=never NO_COLOR=1 DOCKER_CLI_HINTS=false
# A Compose of the user's own environment must not point ours elsewhere.
unset COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME

# with LINES ARGUMENT...: run the command whose words are LINES, with ARGUMENTs.
with() {
    lines=$1
    shift
    while IFS= read -r word; do
        [ -z "$word" ] || set -- "$word" "$@"
    done <<LINES
$lines
LINES
    call "$@"
}
call() (umask "$login_umask" && exec "$@" 9>&-)

docker_() { with "$(recall docker)" "$@"; }

# compose ARGUMENT...: Compose on the application, wherever we stand, under one project name.
compose() {
    words=$(
        printf '%s\n' "$compose_files"
        sed 's/$/\
--profile/' facts/profiles
        known project && printf '%s\n-p\n' "$(recall project)"
        recall compose
    )
    (cd "$path" && with "$words" "$@")
}

major() { recall compose.major; }

# model SERVICE KIND: what the compose file says of it.
model() { awk -v service="$1" -v kind="$2" '$1 == service && $2 == kind { sub(/^[^ ]* [^ ]* ?/, ""); print }' facts/model; }
in_model() { [ -n "$(awk -v service="$1" '$1 == service { print 1; exit }' facts/model)" ]; }

# find_docker: which docker, and may we use it?
find_docker() {
    words=${docker_command:-docker}
    put facts/docker "$words"
    docker_ version --format '{{.Server.Version}}' >facts/docker.version 2>facts/docker.error && return
    if [ -z "$docker_command" ] && has sudo && has docker; then
        put facts/docker "docker
-n
sudo"
        docker_ version --format '{{.Server.Version}}' >facts/docker.version 2>/dev/null && return
    fi
    has "$(printf '%s\n' "$words" | tail -n 1)" ||
        fail "docker is not installed on the server" "Install Docker; or set command in [compose] to where it is."
    fail "docker on the server does not answer: $(tail -n 1 facts/docker.error)" \
        "Is the daemon running? May this user use it (group docker), or set command = \"sudo docker compose\"?"
}

# reach_docker: for an undo. A daemon may be starting again: it is waited for, but once.
reach_docker() {
    tries=30
    ! known away || tries=1
    until docker_ version --format '{{.Server.Version}}' >/dev/null 2>facts/docker.error; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            mark facts/away
            fail "docker on the server does not answer: $(tail -n 1 facts/docker.error)" "When it does again: fab recover."
        fi
        sleep 1
    done
    rm -f facts/away
}

# find_compose: v2 before v1; the version tells which it is, not the name.
find_compose() {
    if [ -n "$compose_command" ]; then
        try_compose "$compose_command" ||
            fail "the command in [compose] does not work on the server: $(printf '%s\n' "$compose_command" | sed '1!G;h;$!d' | tr '\n' ' ')"
    else
        try_compose "compose
$(recall docker)" || try_compose "docker-compose
$(recall docker | sed 1d)" || fail "Docker Compose is not installed on the server" "Install the docker-compose-plugin package."
    fi
    engine=$(sed 's/\..*//' facts/docker.version)
    [ "$(major)" -gt 1 ] || [ "${engine:-0}" -lt 25 ] ||
        fail "Compose v1 cannot restart containers on Docker $(recall docker.version)" \
            "Install the docker-compose-plugin package (Compose v2)."
}

try_compose() {
    version=$(with "$1" version --short 2>/dev/null | sed 's/^v//') || return
    case $version in
        [0-9]*.*) put facts/compose "$1" && put facts/compose.major "${version%%.*}" ;;
        *) return 1 ;;
    esac
}

# ready_engine: all that is needed to look at what is deployed.
ready_engine() {
    find_docker
    find_compose
    load
}

# load: read the compose file. The migration service's own profiles are active, so that a service that depends on it
# loads too; nothing is ever started but what is named.
load() {
    : >facts/profiles
    printf '%s\n' "$compose_profiles" | sed '/^$/d' >facts/profiles
    # v2 checks less without values, v1 more: it refuses a port that is a variable. But v1 shows all profiles anyway.
    if [ "$(major)" = 1 ]; then values=''; else values=--no-interpolate; fi
    # shellcheck disable=SC2086
    compose config $values 2>facts/config.error | awk -f model.awk >facts/model
    [ -s facts/model ] || refuse_file
    model "$migrate_service" profile >>facts/profiles
    # The values pass through this pipe only.
    compose config 2>facts/config.error | awk -f model.awk >facts/model.new
    [ -s facts/model.new ] || refuse_file
    mv facts/model.new facts/model
    find_project
    put facts/loaded "$(recall commit.after)"
}

# loaded: what was read last is of the commit that was pulled.
loaded() { [ -n "$(recall loaded)" ] && [ "$(recall loaded)" = "$(recall commit.after)" ]; }

refuse_file() {
    cat facts/config.error
    fail "the compose file does not load: $(grep -v 'level=warning' facts/config.error | tail -n 1)" \
        "On the server, in $path: docker compose config"
}

# find_project: the name that Compose gives the project, found once and then always said.
find_project() {
    project=$compose_project
    : "${project:=$(awk '$1 == "project" { print $2; exit }' facts/model)}"
    : "${project:=$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' "$path/.env" 2>/dev/null | tr -d "\"'\r" | tail -n 1)}"
    : "${project:=$(basename "$path")}"
    project=$(printf '%s' "$project" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9_-')
    if known project && [ "$(recall project)" != "$project" ]; then
        fail "the new commit changes the Compose project's name from $(recall project) to $project" \
            "That would start a second application beside the first. Set project in [compose] to keep the old one."
    fi
    put facts/project "$project"
}

check_services() {
    for service in $services ${migrate:+$migrate_service}; do
        in_model "$service" || fail "the compose file has no service $service" \
            "It has: $(awk '$2 == "service" { printf "%s ", $1 }' facts/model). Set services in [compose] or service in [migrate]."
    done
}

# image_name SERVICE: as Compose names it.
image_name() {
    name=$(model "$1" image | head -n 1)
    if [ -z "$name" ]; then
        if [ "$(major)" = 1 ]; then name=$(recall project)_$1; else name=$(recall project)-$1; fi
    fi
    printf '%s' "$name"
}
# image_id NAME: nothing where no image has the name; fails where that cannot be known, as when the daemon is away.
image_id() {
    docker_ image inspect --format '{{.Id}}' "$1" 2>/dev/null && return
    case ${1##*/} in *[:@]*) tagged=$1 ;; *) tagged=$1:latest ;; esac
    found=$(docker_ image ls -q "$tagged") && [ -z "$found" ]
}

# kept_name NAME ROLE: the tag by which this release keeps an image that it may need again, whoever prunes: the one that
# ran (before), the one that NAME had before the migration (migrate-before), and the one that migrated (migrate).
kept_name() {
    last=${1##*/}
    case $last in *:*) printf '%s' "${1%:*}" ;; *) printf '%s' "$1" ;; esac
    printf ':%s-%s' "$2" "$(printf '%s' "$id" | tr '[:upper:]' '[:lower:]')"
}
keep_image() { docker_ image tag "$1" "$(kept_name "$2" "$3")"; }
let_go() { docker_ image rm "$(kept_name "$1" "$2")" >/dev/null 2>&1 || :; }

# note_image STEP SERVICE ROLE: before it is built anew.
note_image() {
    name=$(image_name "$2")
    old=$(image_id "$name") || return
    [ -z "$old" ] || keep_image "$old" "$name" "$3" || return
    put "facts/$1.$2.name" "$name"
    put "facts/$1.$2.before" "${old:-none}"
}

# restore_image STEP SERVICE: the name goes back to the image that it had; a name that was not there goes.
restore_image() {
    known "$1.$2.before" || return 0
    name=$(recall "$1.$2.name") old=$(recall "$1.$2.before")
    now=$(image_id "$name") || return
    if [ "$old" = none ]; then
        [ -z "$now" ] || docker_ image rm "$name" >/dev/null
    elif [ "$now" != "$old" ]; then
        docker_ image tag "$old" "$name"
    fi
}

# drop_image ID: an image that nothing names any more.
drop_image() {
    [ -z "$1" ] || [ -n "$(docker_ image inspect --format '{{range .RepoTags}}x{{end}}' "$1" 2>/dev/null)" ] ||
        docker_ image rm "$1" >/dev/null 2>&1 || :
}

# containers SERVICE: of this project, running or not, without one-off ones.
containers() {
    docker_ ps -aq --no-trunc --filter "label=com.docker.compose.project=$(recall project)" \
        --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False
}
# inspect FORMAT ID...
inspect() {
    format=$1
    shift
    [ $# = 0 ] || docker_ inspect --format "$format" "$@"
}

# state_of SERVICE: one word: absent, running, healthy, unhealthy, starting, silent, restarting, exited (…), and the
# containers' start times and restart counts, which change when it does not stay up. Fails where that cannot be known.
state_of() {
    ids=$(containers "$1") || return
    [ -n "$ids" ] || { printf 'absent\n' && return; }
    # shellcheck disable=SC2086
    states=$(inspect '{{if .State.Health}}{{if eq .State.Status "running"}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}{{else}}{{.State.Status}}{{end}} {{.RestartCount}} {{.State.StartedAt}}' \
        $ids 2>/dev/null) || return
    case $states in
        *running*)
            # shellcheck disable=SC2086
            ! known "restart.$1.listened" || listen $ids || states=$(printf '%s\n' "$states" | sed 's/^running /silent /')
            ;;
    esac
    printf '%s\n' "$states"
}

# listen CONTAINER...: do all of them accept TCP connections? Docker's own name server, at 127.0.0.11, is none of theirs.
# Where the kernel does not tell, they do not; a process of another machine's that has the same number is not asked.
listen() {
    for container; do
        pid=$(inspect '{{.State.Pid}}' "$container") && grep -qs "$container" "/proc/$pid/cgroup" &&
            cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null |
            awk '$4 == "0A" && $2 !~ /^0B00007F:/ { found = 1 } END { exit !found }' || return
    done
}

# runs SERVICE: the image, whether it runs, and the id of its containers. Fails where that cannot be known.
runs() {
    ids=$(containers "$1") || return
    # shellcheck disable=SC2086
    inspect '{{.Image}} {{.State.Running}} {{.Id}}' $ids
}

# show_logs SERVICE...: the last words of containers that did not come up.
show_logs() {
    for service; do
        for container in $(containers "$service"); do
            printf -- '--- last lines of %s ---\n' "$service"
            docker_ logs --tail 40 "$container" 2>&1
        done
    done
}

# up SERVICE...: the images as they are named now, without building and without dependencies: a migration service that
# is one would run again.
up() { compose up -d --no-deps --no-build --force-recreate "$@"; }

# The engine may keep the port of a container that is gone, after a crash: https://github.com/moby/moby/issues/20486
# shellcheck disable=SC2034
start_hint="Docker says why, above. If it calls a port taken that nothing has: restart Docker itself. Then: fab recover."

# up_missing SERVICE...: what these depend on, started where it does not run; facts/started are those that did not run
# when the release first looked.
up_missing() {
    known started || note_stopped "$@"
    late=''
    for service in $(dependencies "$@"); do
        case $(state_of "$service") in
            running* | healthy*) continue ;;
            starting*) ;;
            *) compose up -d --no-deps --no-recreate "$service" || fail "the service $service could not be started" ;;
        esac
        late="$late $service"
    done
    for service in $late; do
        # shellcheck disable=SC2034
        (settle=0 health_url='' && await "$service" || { show_logs "$service"; fail "the service $service $why"; }) || exit
    done
}

note_stopped() {
    : >facts/started.new
    for service in $(dependencies "$@"); do
        now=$(state_of "$service") || fail "docker does not say whether $service runs"
        case $now in absent* | created* | exited* | dead*) printf '%s\n' "$service" >>facts/started.new ;; esac
    done
    mv facts/started.new facts/started
}

# stop_started: those of them that only this release had started.
stop_started() {
    [ -s facts/started ] || return 0
    while read -r service; do
        for container in $(containers "$service"); do docker_ stop "$container" >/dev/null; done
    done <facts/started
    rm -f facts/started
}

# dependencies SERVICE...: those of the file, through all levels, without the ones that a release itself handles.
dependencies() {
    awk -v wanted="$*" -v own="$services $migrate_service" '
        $2 == "dep" { deps[$1] = deps[$1] " " $3 }
        END {
            n = split(own, skip, " "); for (i = 1; i <= n; i++) ours[skip[i]] = 1
            n = split(wanted, queue, " ")
            for (i = 1; i <= n; i++) {
                m = split(deps[queue[i]], next_, " ")
                for (j = 1; j <= m; j++) if (!(next_[j] in seen)) {
                    seen[next_[j]] = 1; queue[++n] = next_[j]
                    if (!(next_[j] in ours)) order[++k] = next_[j]
                }
            }
            for (i = k; i > 0; i--) print order[i]
        }' facts/model
}

# stop_run NAME: a one-off container of ours that may have outlived its client. Fails where it may still run.
stop_run() {
    left=$(docker_ ps -aq --filter "name=^/$1\$") || return
    [ -n "$left" ] || return 0
    docker_ stop -t 10 "$left" >/dev/null 2>&1
    docker_ rm -f "$left" >/dev/null
}

# run_once NAME ARGUMENT...: a one-off container, which reads the file $input; its own exit status, also where the
# client lost it.
run_once() {
    name=$1
    shift
    stop_run "$name" || return
    compose run -T --no-deps --name "$name" "$@" <"${input:-/dev/null}"
    status=$?
    # Where there is no such container, it ran to no end.
    if ended=$(docker_ wait "$name" 2>/dev/null); then status=$ended; elif [ "$status" = 0 ]; then status=1; fi
    docker_ rm -f "$name" >/dev/null 2>&1
    return "${status:-1}"
}

# probe NAME ARGUMENT...: probe.py inside the migration container; its answer is in facts/probe.NAME. A client that was
# killed hands on the exit status, and not all of the answer.
probe() {
    run_once "backstay-$id-probe" -e "PGAPPNAME=backstay-$id" --entrypoint sh "$migrate_service" -c "$(cat probe.sh)" backstay \
        "$(cat database.py ${also:+"$also"} probe.py)" "$migrate_workdir" "$@" >"facts/probe.$1" &&
        grep -qx "backstay whole" "facts/probe.$1"
}
