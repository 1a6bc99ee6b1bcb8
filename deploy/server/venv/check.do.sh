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

# free FOLDER MEGABYTES: of disk.
free() {
    df -Pk "$1" 2>/dev/null | awk -v want="$2" 'NR == 2 && $4 < want * 1024 { exit 1 }' ||
        fail "the disk of $1 on the server has less than $2 MB free" "Make room; old environments are in $venvs."
}

check_python() {
    has "$python" || fail "$python is not installed on the server" "Install it, or set python in [venv]."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python on the server cannot make virtual environments" "On Debian and Ubuntu: apt install python3-venv"
}

check_files() {
    git_ cat-file -e "$wanted:./$requirements" 2>/dev/null || [ -e "$path/$requirements" ] ||
        fail "the new commit has no file $requirements" "Set requirements in [venv]."
    ! git_ cat-file -e "$wanted:./${venv_folder%/}" 2>/dev/null ||
        fail "the new commit brings $venv_folder itself, where the environment belongs" "git rm -r --cached $venv_folder"
    [ "$(linked)" != folder ] || [ -d "$link" ] || fail "$link on the server is a file" "Move it away; or set folder in [venv]."
}

check_python
free "$path" 50
free "$state" 300
check_git
check_files
[ -n "$stop_command" ] || [ "$(linked)" != none ] ||
    say warn "nothing can stop the application if this first release fails" "Set stop in [venv]."
[ -e facts/unchanged ] || check_migrations
