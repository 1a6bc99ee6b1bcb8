# shellcheck shell=sh
# Shared by all that runs on the server. Read after values.sh, in a release's folder (or the kit's).
# $journal is the file that events go to; the entry script sends them to standard output instead.

# Records are for their owner alone; the application's own files are made as after a login.
umask 077
: "${login_umask:=022}"
export LC_ALL=C
: "${journal:=./journal}"

# A setting may say ~/ for the home folder; without a setting, records live in the home folder.
case $path in "~/"*) path=$HOME/${path#"~/"} ;; esac
case $state in
    '') state=$HOME/.local/state/backstay/$app ;;
    "~/"*) state=$HOME/${state#"~/"} ;;
esac

# Who asked is one line in the lock.
by=${by-}
by=${by%%"
"*}

# mask [NAME=VALUE...]: standard input with secrets masked; for pipes only, since it never returns. mawk waits for a
# full block unless it is told otherwise; other awks hand on each line as it comes.
mask() {
    MASK_FILES='' MASK_KEEP=$app
    for file in "$path"/.env "$path"/.env.* "$path"/*.env; do
        [ ! -f "$file" ] || MASK_FILES="$MASK_FILES$file
"
    done
    export MASK_FILES MASK_KEEP
    case ${awk_is:=$(awk -W version 2>&1 </dev/null)} in
        mawk*) exec awk -W interactive -f ./mask.awk "$@" ;;
        *) exec awk -f ./mask.awk "$@" ;;
    esac
}

# escaped TEXT: TEXT as the inside of a JSON string, on one line and not too long for one write.
escaped() {
    case $1 in
        *[!A-Za-z0-9\ ._:/@+,=-]*)
            printf '%s' "$1" | tr '\n\r\t' '   ' | tr -d '\000-\037\177' | head -c 4000 | sed 's/[\\"]/\\&/g'
            ;;
        *) printf '%.4000s' "$1" ;;
    esac
}

# json TEXT: the same, masked. What is shorter than six characters is no secret.
json() {
    case $1 in
        ??????*) escaped "$(printf '%s\n' "$1" | mask)" ;;
        *) escaped "$1" ;;
    esac
}

# event FIELDS: one record, in one write.
event() {
    clock=$(date +%s 2>/dev/null)
    case $clock in '' | *[!0-9]*) clock=0 ;; esac
    emit "{\"v\":1,\"at\":$clock,$1}" || { make_room && emit "{\"v\":1,\"at\":$clock,$1}"; }
}
emit() { printf '\036%s\n' "$1" 2>/dev/null >>"$journal"; }

# make_room: when the disk is full, what the runner laid by for that.
make_room() { [ -e "${journal%/*}/reserve" ] && rm -f "${journal%/*}/reserve"; }

# say LEVEL TEXT [HINT]: a short message for the user; LEVEL is info, warn or error.
say() { event "\"event\":\"note\",\"level\":\"$1\",\"text\":\"$(json "$2")\",\"hint\":\"$(json "${3:-}")\""; }

# fail TEXT [HINT]: say what is wrong, and end.
fail() {
    say error "$@"
    exit 1
}

# mark FILE: FILE is there. (`:` would end the shell when the disk is full.)
mark() { true 2>/dev/null >"$1" || { make_room && true 2>/dev/null >"$1"; }; }

# durable FILE: FILE is on the disk, not only in memory. (busybox and macOS know `sync` without a name.)
durable() { sync "$1" 2>/dev/null || sync; }

# put FILE TEXT: replace FILE in one go.
put() {
    printf '%s\n' "$2" 2>/dev/null >"$1.new" || { make_room && printf '%s\n' "$2" >"$1.new"; } || return
    durable "$1.new" && mv -f "$1.new" "$1"
}

# fact NAME VALUE: note something for the user and for the undo.  known NAME: was it noted?  recall NAME: its value.
fact() {
    put "facts/$1" "$2" || fail "cannot write to $(pwd)/facts" "Is the disk full?"
    event "\"event\":\"fact\",\"name\":\"$1\",\"value\":\"$(json "$2")\""
}
known() { [ -e "facts/$1" ]; }
recall() { cat "facts/$1" 2>/dev/null; }

# intact FOLDER: are a release's own files there, as they came? A torn one may be a script that does the half of it, or
# lack the release's id. A repository that the folder happens to be in has no say in that.
intact() (
    cd "$1" 2>/dev/null && [ "$(tail -n 1 sums 2>/dev/null)" = end ] || exit
    names=$(sed -n 's/^[^ ]* //p' sums)
    now=$(printf '%s\n' "$names" | GIT_DIR=/dev/null GIT_DEFAULT_HASH=sha1 git hash-object --no-filters --stdin-paths 2>/dev/null)
    [ "$now" = "$(sed -n 's/ .*//p' sums)" ]
)

# deployed_facts: the folder of what the release that is deployed noted.
deployed_facts() { printf '%s' "$state/releases/$(cat "$state/current" 2>/dev/null)/facts"; }

# has COMMAND: is it there?
has() { command -v "$1" >/dev/null 2>&1; }
