# shellcheck shell=sh
# What the server is like, for fab doctor: facts, no judgement. Changes nothing, takes no lock. Read by enter.sh, in the
# kit; the engine's examine.sh goes on.
. ./git.sh
. ./health.sh
export GIT_OPTIONAL_LOCKS=0

# check NAME COMMAND...: what the command says is wrong belongs to NAME; its failure ends nothing else.
check() {
    answer check "$1"
    shift
    # shellcheck disable=SC2329
    (refuse() { fail "$1" "${2:-}"; } && "$@")
    checked=$?
    answer check
    return "$checked"
}

# text NAME: standard input, masked.
text() {
    answer text "$1"
    (mask limit=200000)
    answer text
}

# room NAME FOLDER: where FOLDER is, or will be: free kilobytes, free inodes (- if unknown), kind of file system, how it is
# mounted.
room() {
    place=$2
    while [ ! -d "$place" ] && [ "$place" != "${place%/*}" ]; do place=${place%/*}; done
    answer "folder.$1" "$2"
    answer "disk.$1" "$(df -Pk "${place:-/}" 2>/dev/null | awk 'NR == 2 { print $4 }') $(
        df -Pi "${place:-/}" 2>/dev/null | awk 'NR == 2 && $2 > 0 { print $4; known = 1 } END { if (!known) print "-" }'
    ) $(mounted "${place:-/}")"
}
mounted() {
    awk -v folder="$(cd "$1" && pwd -P)/" '
        { at = $2; gsub(/\\040/, " ", at); if (at != "/") at = at "/" }
        index(folder, at) == 1 && length(at) >= best { best = length(at); found = $3 " " $4 }
        END { print found }' /proc/mounts 2>/dev/null
}

# unwritable: folders that git writes to, of the repository and of the files in it, and may not.
unwritable() {
    find "$git_folder" -type d -o -name FETCH_HEAD -o -path '*/logs/*' -type f | while IFS= read -r entry; do
        [ -w "$entry" ] || printf '%s\n' "$entry"
    done
    git_ -c core.quotePath=off ls-files | awk '{ if (!sub(/\/[^\/]*$/, "")) $0 = "." } !seen[$0]++' |
        while IFS= read -r entry; do
            [ ! -d "$path/$entry" ] || [ -w "$path/$entry" ] || printf '%s\n' "$path/$entry"
        done
}

look_at_checkout() {
    git_folder=$(git_ rev-parse --absolute-git-dir 2>/dev/null) || return
    answer branch "$(git_ symbolic-ref --quiet --short HEAD)"
    answer commit "$(head_commit)"
    answer changed "$(git_ status --porcelain --untracked-files=no --ignore-submodules=dirty | head -n 4 | awk '{ print $NF }')"
    [ ! -e "$git_folder/index.lock" ] || answer index.lock "$git_folder/index.lock"
    answer unwritable "$(unwritable | head -n 3)"
    if grep -qs 'filter=lfs' "$path/.gitattributes" && ! git lfs version >/dev/null 2>&1; then answer lfs missing; fi
    room repository "$git_folder"
    look_at_lock
}

# look_at_lock: who has it, or left it; without taking it.
look_at_lock() {
    lock=$git_folder/backstay.lock
    [ -s "$lock" ] || return 0
    answer lock.release "$(holder 1)"
    answer lock.by "$(holder 2)"
    alive=$(holder 4)/releases/$(holder 1)/alive
    if [ ! -r "$alive" ]; then
        answer lock foreign
    elif flock -n -s "$alive" true; then
        answer lock left
    else
        answer lock held
    fi
}

# ask_remote: as a deployment would fetch; nothing comes of it here.
ask_remote() {
    url=$(git_ remote get-url "$remote" 2>/dev/null)
    answer remote.url "$(printf '%s\n' "$url" | (mask))"
    [ -n "$url" ] || return
    case $url in *://*:*@*) answer remote.secret yes ;; esac
    limit=''
    ! has timeout || limit='timeout 30'
    # shellcheck disable=SC2086
    (cd "$path" && exec $limit git ls-remote --exit-code --heads "$remote" "refs/heads/$branch") >remote.said 2>remote.error </dev/null
    answer remote.status $?
    answer remote.commit "$(cut -c 1-40 remote.said)"
    answer remote.error "$(grep -v '^$' remote.error | tail -n 2 | (mask))"
}

# look_at_code: the files that say how the application is built and migrated, masked; names alone of what holds secrets.
look_at_code() {
    tracked() { git_ -c core.quotePath=off ls-files "$@"; }
    tracked | grep -E '(^|/)(([^/]*[.])?Dockerfile[^/]*|[^/]*[.]?dockerignore|alembic[.]ini|env[.]py|[^/]*(entrypoint|start)[^/]*[.]sh|pyproject[.]toml)$' |
        head -n 60 | while IFS= read -r file; do
        [ -f "$path/$file" ] || continue
        # The URL of a database may hold a password that no .env has: its signs will do.
        awk '/^sqlalchemy[.]url/ { at = index($0, "="); value = substr($0, at + 1); gsub(/[A-Za-z0-9]/, "x", value); $0 = substr($0, 1, at) value } 1' \
            <"$path/$file" | text "file:$file"
    done
    answer tracked.env "$(tracked -- .env '*/.env' '.env.*' '*/.env.*' '*.env' |
        grep -Ev '(example|sample|template|dist|defaults?)([.]env)?$' | head -n 4)"
    tracked -- '*.py' | sed 's|[^/]*$||' | sort -u | text python.folders
    git_ grep -hIE '^(down_)?revision *[:=]' -- '*/versions/*.py' 'versions/*.py' | head -n 4000 | text revisions
    answer autocommit "$(git_ grep -lE 'autocommit_block[(]' -- '*/versions/*.py' 'versions/*.py' | head -n 2)"
    answer models "$(git_ grep -lE '__tablename__|table *= *True' -- '*.py' | grep -Ev '(^|/)(tests?|versions)/|test_' | head -n 60)"
    git_ grep -IE '^[[:space:]]*(from|import)[[:space:]]' -- '*.py' | head -n 6000 | text imports
}

# reachable FOLDER: whether every user of the server can come into it.
reachable() (
    at=$(cd "$1" && pwd -P) || exit
    while [ -n "$(find "${at:-/}" -prune -perm -001 2>/dev/null)" ]; do
        [ -n "$at" ] || exit 0
        at=${at%/*}
    done
    exit 1
)

# look_at_secrets: names of variables and files, no values.
look_at_secrets() {
    for file in "$path"/.env "$path"/.env.* "$path"/*.env; do
        [ -f "$file" ] || continue
        case $file in *example* | *sample* | *template*) continue ;; esac
        [ -z "$(find "$file" -perm -004)" ] || ! reachable "$path" || printf '%s\n' "${file##*/}" >>open.env
        printf '%s\n' "${file##*/}" >>env.files
    done
    answer env.open "$(cat open.env 2>/dev/null)"
    [ -e env.files ] || return 0
    answer env.dollar "$(cd "$path" && tr '\n' '\000' <"$kit/env.files" | xargs -0 awk -f "$kit/dollar.awk")"
    ! (cd "$path" && tr '\n' '\000' <"$kit/env.files" | xargs -0 grep -Eq '^(export )?DATABASE_URL=.*%') || answer env.percent yes
}

# logind's settings: whether it ends what a user leaves running.
logins() {
    if has busctl; then
        busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
            KillUserProcesses KillExcludeUsers KillOnlyUsers 2>/dev/null && return
    fi
    cat /etc/systemd/logind.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null | grep '^Kill'
}

answer missing "$(for tool in git flock setsid mkfifo awk sed sort sync tail tr; do has "$tool" || printf '%s ' "$tool"; done)"
answer user "$(id -un)"
answer system "$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null | tr -d '"')"
answer git "$(git --version 2>/dev/null)"
answer http "$(for tool in curl python3 wget; do ! has "$tool" || printf '%s ' "$tool"; done)"
[ -z "$health_url" ] || answer health "$(url_answers && printf yes || printf no)"
answer memory "$(awk '/^(MemTotal|MemAvailable|SwapFree):/ { print $1 $2 }' /proc/meminfo 2>/dev/null)"
answer logind "$(logins)"
room checkout "$path"
room state "$state"
[ -w "${place:-/}" ] || answer state.locked "$place"
[ ! -e "$state/checkout" ] || answer state.checkout "$(cat "$state/checkout")"
answer state.unfinished "$(unfinished)"
answer state.current "$(cat "$state/current" 2>/dev/null)"
if has git && check checkout checkout; then
    look_at_checkout
    ask_remote
    look_at_code
    look_at_secrets
fi
. ./examine.sh
