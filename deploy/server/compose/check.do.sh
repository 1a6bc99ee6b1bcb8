# shellcheck shell=sh
# check: may this release start? Asks, fetches, changes nothing.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./check_git.sh
. ./engine.sh
. ./migrate.sh
. ./migration.sh
. ./foresee.sh
. ./ran.sh

# free FOLDER MEGABYTES: of disk.
free() {
    df -Pk "$1" 2>/dev/null | awk -v want="$2" 'NR == 2 && $4 < want * 1024 { exit 1 }' ||
        fail "the disk of $1 on the server has less than $2 MB free" "Make room; docker system df says what Docker holds."
}

idle() {
    running=$(docker_ ps --filter "label=com.docker.compose.project=$(recall project)" --format '{{.Names}}' \
        --filter "label=com.docker.compose.service=$migrate_service" --filter label=com.docker.compose.oneoff=True) ||
        fail "docker does not say whether a migration is running"
    # A look at the migrations changes nothing.
    running=$(printf '%s\n' "$running" | grep -v '^backstay-.*-probe$')
    [ -z "$running" ] || fail "a migration is running already, in container $running" "Wait for it, or: docker stop $running"
}

find_docker
find_compose
free "$path" 50
free "$state" 50
root=$(docker_ info --format '{{.DockerRootDir}}' 2>/dev/null)
[ ! -d "$root" ] || free "$root" 300
check_git
load
idle
if [ ! -e facts/unchanged ]; then
    check_migrations
    note_ran
fi
