# shellcheck shell=sh
# Shared by all that runs on the server. Read after values.sh, in a release's folder (or the kit's).
# $journal is the file that events go to; the entry script sets it to standard output.

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

# mask [NAME=VALUE...]: standard input with secrets masked; for pipes only, since it never returns. mawk waits for a
# full block unless it is told otherwise; other awks hand on each line as it comes.
mask() {
    MASK_FILES=$(ls -d "$path"/.env "$path"/.env.* "$path"/*.env 2>/dev/null) MASK_KEEP=$app
    export MASK_FILES MASK_KEEP
    case $(awk -W version 2>&1 </dev/null) in
        mawk*) exec awk -W interactive -f ./mask.awk "$@" ;;
        *) exec awk -f ./mask.awk "$@" ;;
    esac
}

# json TEXT: TEXT as the inside of a JSON string, on one line, masked.
json() {
    case $1 in
        *[!A-Za-z0-9\ ._:/@+,=-]*)
            printf '%s\n' "$1" | tr '\n\r\t' '   ' | tr -d '\000-\037\177' | mask | sed 's/[\\"]/\\&/g'
            ;;
        *) printf '%s' "$1" ;;
    esac
}

# event FIELDS: one record. When the disk is full, the reserve that the runner laid by makes room for it.
event() {
    record=$(printf '\036{"v":1,"at":%s,%s}' "$(date +%s)" "$1")
    emit "$record" && return
    rm -f ./reserve
    emit "$record"
}
emit() { printf '%s\n' "$1" >>"$journal"; }

# say LEVEL TEXT [HINT]: a short message for the user; LEVEL is info, warn or error.
say() { event "\"event\":\"note\",\"level\":\"$1\",\"text\":\"$(json "$2")\",\"hint\":\"$(json "${3:-}")\""; }

# fail TEXT [HINT]: say what is wrong, and end.
fail() {
    say error "$@"
    exit 1
}

# durable FILE: FILE is on the disk, not only in memory. (busybox and macOS know `sync` without a name.)
durable() { sync "$1" 2>/dev/null || sync; }

# put FILE TEXT: replace FILE in one go.
put() {
    printf '%s\n' "$2" >"$1.new" || { rm -f ./reserve && printf '%s\n' "$2" >"$1.new"; } || return
    durable "$1.new" && mv -f "$1.new" "$1"
}

# fact NAME VALUE: note something for the user and for the undo.  known NAME: was it noted?  recall NAME: its value.
fact() {
    put "facts/$1" "$2" || fail "cannot write to $(pwd)/facts" "Is the disk full?"
    event "\"event\":\"fact\",\"name\":\"$1\",\"value\":\"$(json "$2")\""
}
known() { [ -e "facts/$1" ]; }
recall() { cat "facts/$1" 2>/dev/null; }

# has COMMAND: is it there?
has() { command -v "$1" >/dev/null 2>&1; }
