# shellcheck shell=sh
# What the application is like, for fab doctor. Read by doctor.sh, in the kit.
. ./engine.sh

look_for_python() {
    has "$python" || fail "$python is not installed on the server" "Install it, or set python in [venv]."
    answer python "$("$python" -V 2>&1)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python on the server cannot make virtual environments" "On Debian and Ubuntu: apt install python3-venv"
}

answer engine venv
check python look_for_python
