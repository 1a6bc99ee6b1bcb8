# shellcheck shell=sh
# MySQL's and MariaDB's own tools, run where they are: in the database's container, or on the server with BACKSTAY_* set.
# usage: sh -c "$(cat mysql.sh)" backstay VERB DATABASE [NAME...]
#
#   dump        a dump to standard output, of one snapshot; to standard error "backstay rows TABLE COUNT" of a snapshot
#               taken a moment before, and "backstay later TABLE COUNT" of one a moment after
#   restore     what is in the database goes, and what is in the dump on standard input comes, which no transaction takes
#               back; then "backstay rows TABLE COUNT"
#   load        the same where nothing has to go
#   create NEW OURS   a new database, with nothing but the table OURS in it: it is ours while that is there
#   keep OURS         DATABASE is ours no longer
#   drop OURS         DATABASE goes, if it is ours

# From the migrations' URL; or the server is here, and was made with what its image's variables say.
first() { for value in "$@"; do [ -z "$value" ] || { printf %s "$value" && return; }; done; }
from() { [ -z "$1" ] || cat "$1"; }
root=$(first "${MYSQL_ROOT_PASSWORD:-}" "${MARIADB_ROOT_PASSWORD:-}" \
    "$(from "$(first "${MYSQL_ROOT_PASSWORD_FILE:-}" "${MARIADB_ROOT_PASSWORD_FILE:-}")")")
if [ -n "${BACKSTAY_USER:-}" ]; then
    user=$BACKSTAY_USER
elif [ -n "$root${MYSQL_ALLOW_EMPTY_PASSWORD:-}${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-}" ]; then
    user=root MYSQL_PWD=$root
else
    user=$(first "${MYSQL_USER:-}" "${MARIADB_USER:-}" root)
    MYSQL_PWD=$(first "${MYSQL_PASSWORD:-}" "${MARIADB_PASSWORD:-}" \
        "$(from "$(first "${MYSQL_PASSWORD_FILE:-}" "${MARIADB_PASSWORD_FILE:-}")")")
fi
export MYSQL_PWD

# tool NAMES OPTION...: the first of these that is there. With a URL no file of options counts: a password in it would.
tool() {
    for name in $1; do ! command -v "$name" >/dev/null 2>&1 || break; done
    shift
    set -- --user="$user" --default-character-set=utf8mb4 "$@"
    [ -z "${BACKSTAY_HOST:-}" ] || set -- --protocol=tcp --host="$BACKSTAY_HOST" --port="${BACKSTAY_PORT:-3306}" "$@"
    [ -z "${BACKSTAY_SOCKET:-}" ] || set -- --protocol=socket --socket="$BACKSTAY_SOCKET" "$@"
    [ -z "${BACKSTAY_USER:-}" ] || set -- --no-defaults "$@"
    "$name" "$@"
}
# MariaDB's would print a statement that fails, which is rows of the application's.
quiet=$(! command -v mariadb >/dev/null 2>&1 || echo --loose-skip-print-query-on-error)
sql() { tool 'mariadb mysql' ${quiet:+"$quiet"} --batch --raw --skip-column-names "$@"; }

# A table's name in quotes, and the tables that have rows of their own.
named="CONCAT('\`', REPLACE(table_name, '\`', '\`\`'), '\`')"
tables="FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"

# counting WORD: the statements that count their rows.
counting() {
    echo "SELECT CONCAT('SELECT CONCAT(', QUOTE(CONCAT('backstay $1 ', table_name, ' ')), ', COUNT(*)) FROM ', $named, ';') $tables;" |
        sql "$database"
}

snapshot='SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT;'

# The dump has a snapshot of its own, which no other connection can share. So rows are counted in one that is open before
# it starts, and in one that opens when it has written more than its head, which is before its own.
dump() {
    before=$(counting rows) && after=$(counting later) || return
    echo "SELECT CONCAT('backstay warn the table ', table_name, ' is in no snapshot, its engine is ', engine) $tables
          AND engine <> 'InnoDB';" | sql "$database" >&2 || return
    printf '%s\n' "$snapshot" "SELECT 'open';" "$before" "SELECT 'backstay counted';" | sql --unbuffered "$database" | {
        read -r _ || exit
        { dump_rows && echo backstay dumped >&2; } | { dd bs=1 count=2000 2>/dev/null; later & cat; wait; }
        cat >&2
    }
}
later() { printf '%s\n' "$snapshot" "$after" | sql "$database" >&2; }
dump_rows() {
    set -- --single-transaction --quick --routines --triggers --events --hex-blob --no-tablespaces --comments
    case $(tool 'mariadb-dump mysqldump' --version) in
        *MariaDB*) ;;
        *) set -- "$@" --set-gtid-purged=OFF --loose-column-statistics=0 ;;
    esac
    tool 'mariadb-dump mysqldump' "$@" "$database"
}

# Each thing in the database, as the statement that drops it.
contents="
SELECT CONCAT('DROP ', CASE table_type WHEN 'VIEW' THEN 'VIEW ' WHEN 'SEQUENCE' THEN 'SEQUENCE ' ELSE 'TABLE ' END, $named, ';')
  FROM information_schema.tables WHERE table_schema = DATABASE();
SELECT CONCAT('DROP ', routine_type, ' \`', REPLACE(routine_name, '\`', '\`\`'), '\`;')
  FROM information_schema.routines WHERE routine_schema = DATABASE();
SELECT CONCAT('DROP EVENT \`', REPLACE(event_name, '\`', '\`\`'), '\`;')
  FROM information_schema.events WHERE event_schema = DATABASE();"
others="SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID();"

# load [STATEMENT...]: after these.
load() {
    { printf '%s\n' 'SET SESSION foreign_key_checks = 0, lock_wait_timeout = 60;' "$@" && cat; } | sql "$database" &&
        echo backstay restored && counting rows | sql "$database"
}

# What a client that was stopped began may go on in the server, and hold what is to be dropped.
restore() {
    wipe=$(echo "$contents" | sql "$database") || { echo backstay nothing; return 1; }
    echo "$others" | sql "$database" | sql --force "$database" 2>/dev/null
    load "$wipe"
}

create() {
    form=$(echo "SELECT CONCAT('CHARACTER SET ', default_character_set_name, ' COLLATE ', default_collation_name)
        FROM information_schema.schemata WHERE schema_name = DATABASE();" | sql "$database") &&
        echo "CREATE DATABASE \`$1\` $form; CREATE TABLE \`$1\`.\`$2\` (n INT);" | sql
}
drop() {
    ours=$(echo "SELECT 1 FROM information_schema.tables WHERE table_schema = '$database' AND table_name = '$1';" | sql) &&
        { [ -z "$ours" ] || echo "DROP DATABASE \`$database\`;" | sql; }
}

verb=$1 database=$2
shift 2
case $verb in
    dump) dump ;;
    restore) restore ;;
    load) load ;;
    create) create "$1" "$2" ;;
    keep) echo "DROP TABLE \`$1\`;" | sql "$database" ;;
    drop) drop "$1" ;;
esac
