# shellcheck shell=sh
# What the application is like, for fab doctor. Read by doctor.sh, in the kit.
. ./engine.sh
. ./migrate.sh
. ./migration.sh
. ./dialects.sh

look_for_python() {
    has "$python" || fail "$python is not installed on the server" "Install it, or set python in [venv]."
    answer python "$("$python" -V 2>&1)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python on the server cannot make virtual environments" "On Debian and Ubuntu: apt install python3-venv"
}

# kind_of_database: as the last release's look at it noted, or as the URL in .env begins.
kind_of_database() {
    told_last dialect | grep . ||
        sed -n "s/^\(export \)\{0,1\}DATABASE_URL=[\"']\{0,1\}\([a-z]*\).*/\2/p" "$path/.env" 2>/dev/null
}

look_for_dump_tools() {
    case $(kind_of_database) in
        postgres*) has_programs postgresql.sh ;;
        mysql | mariadb) has_programs mysql.sh ;;
        *) return ;;
    esac
    answer backup ready
}

answer engine venv
check python look_for_python
[ -z "$migrate" ] || [ "$backup_mode" != auto ] || check backup look_for_dump_tools
