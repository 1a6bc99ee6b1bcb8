# shellcheck shell=sh
# Virtual environments, one a release, in $venvs; a link in the checkout leads to the one in use.

venvs=$state/venvs
link=$path/${venv_folder%/}

ready_engine() { :; }

# Gives a program the variables of a file of NAME=VALUE lines. They are data: nothing in them is expanded or run.
with_file='
import os, sys
lines = open(sys.argv[1], "rb").read().split(b"\n") if os.path.exists(sys.argv[1]) else []
for line in lines:
    name, found, value = line.partition(b"=")
    name, value = name.split(b"export ")[-1].strip(), value.strip()
    if not (value[:1] in (b"\"", b"\x27") and value[-1:] == value[:1]):
        value = value.split(b" #")[0].rstrip()
    if len(value) > 1 and value[:1] in (b"\"", b"\x27") and value[-1:] == value[:1]:
        value = value[1:-1]
    if found and name.replace(b"_", b"x").isalnum() and not name[:1].isdigit():
        os.environb[name] = value
os.execvp(sys.argv[2], sys.argv[2:])
'

# as_app VENV COMMAND...: for a subshell, which becomes COMMAND: as after a login, in the checkout, with the
# application's variables.
as_app() {
    umask "$login_umask"
    unset LC_ALL GIT_TERMINAL_PROMPT GIT_ASKPASS GIT_SSH_COMMAND journal
    export VENV="$1"
    shift
    cd "$path" || exit
    exec "$python" -I -S -c "$with_file" "${env_file:-/dev/null}" "$@"
}

# in_venv COMMAND...: with the programs of $venv, or of the environment in use. No bytecode: git may change a file within the second that tells
# Python whether its bytecode is old.
in_venv() (
    : "${venv:=$link}"
    as_app "$venv" env "PATH=$venv/bin:$PATH" "VIRTUAL_ENV=$venv" PYTHONDONTWRITEBYTECODE=1 "$@"
)

# make_venv FOLDER [OPTION...]: a fresh one, of the requirements in the checkout. Its digest says that it is whole.
make_venv() (
    venv=$1
    shift
    umask "$login_umask"
    unset PYTHONHOME PYTHONPATH
    rm -rf "$venv" && mkdir -p "$venvs" && "$python" -m venv "$venv" && cd "$path" &&
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@" -r "$requirements" &&
        digest >"$venv/backstay.digest"
)
whole() { [ -s "$1/backstay.digest" ]; }

# digest: the same for two environments that are made alike. Other files that are named in there are not seen.
digest() { { "$python" -V 2>&1 && cat "$path/$requirements"; } | git_ hash-object --stdin; }
names_files() { grep -Eq '^[[:space:]]*(-[rce]|--(req|con|edi)|[.]|/)|file:' "$path/$requirements"; }

# linked: what is where the environment in use belongs: none, folder, or link and where to.
linked() {
    if [ -h "$link" ]; then
        printf 'link %s\n' "$(readlink "$link")"
    elif [ -e "$link" ]; then
        echo folder
    else
        echo none
    fi
}

# image LINKED: the release that made the environment; other words for one that none made; nothing for none.
image() {
    case $1 in
        none) ;;
        "link $venvs/"*) printf '%s' "${1#"link $venvs/"}" ;;
        *) printf '%s' "${1#link }" ;;
    esac
}

# point_to FOLDER: the link, in one go; `mv` would follow the old one.
point_to() {
    rm -f "$link.new" && ln -s "$1" "$link.new" &&
        "$python" -c 'import os, sys; os.replace(*sys.argv[1:])' "$link.new" "$link"
}

# own VENV COMMAND: a command of the user's own, in a session of its own and without our pipe: what it leaves running
# lives on when the step ends.
own() {
    rm -f command.out
    (as_app "$1" setsid sh -c "$2") >command.out 2>&1 &
    command=$!
    trap 'kill -s TERM -- "-$command"' TERM
    wait "$command"
    status=$?
    trap - TERM
    cat command.out
    return "$status"
}

# state_of: for `await`. Only the health URL can tell.
state_of() { if url_answers; then echo running; else echo starting; fi; }

# show_logs: the last words of an application that did not come up. Its command may be one that follows the log.
show_logs() {
    [ -n "$logs_command" ] || return 0
    (export LOG_LINES=40 LOG_SINCE='' LOG_FOLLOW='' && as_app "$link" setsid sh -c "$logs_command") >log 2>&1 &
    sleep 2
    kill -s TERM -- "-$!" 2>/dev/null
    echo '--- last lines of the log ---'
    tail -n 40 log
    rm -f log
}

# probe NAME ARGUMENT...: probe.py in the environment; its answer is in facts/probe.NAME.
probe() { in_probe "$@" >"facts/probe.$1"; }
in_probe() {
    in_venv env "PGAPPNAME=backstay-$id" sh -c "$(cat probe.sh)" backstay "$(cat database.py ${also:+"$also"} probe.py)" \
        "${venv_workdir:-$migrate_workdir}" "$@"
}
