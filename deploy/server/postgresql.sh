# shellcheck shell=sh
# PostgreSQL's own tools, run where they are: in the database's container, or on the server with PG* set.
# usage: sh -c "$(cat postgresql.sh)" backstay VERB DATABASE [NAME...]
#
#   dump        a dump to standard output, of one snapshot; "backstay rows TABLE COUNT" of it to standard error
#   data        the data of the dump on standard input, as SQL
#   restore     all that is in the dump on standard input, and nothing else, or nothing at all; then "backstay rows TABLE
#               COUNT"
#   create NEW OURS   a new database with all that is in the dump on standard input; it is OURS until it is whole
#   drop OURS

: "${PGUSER:=${POSTGRES_USER:-${POSTGRESQL_USERNAME:-postgres}}}"
: "${PGPASSWORD:=${POSTGRES_PASSWORD:-${POSTGRESQL_PASSWORD:-}}}"
[ -z "${POSTGRES_PASSWORD_FILE:-}" ] || PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
export PGUSER PGPASSWORD PGDATABASE="$2"

sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# What pg_dump copies the rows of.
tables="
SELECT format('SELECT %L || count(*) FROM ONLY %I.%I', format('backstay rows %I.%I ', nspname, relname), nspname, relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS
       (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY nspname, relname"

# A table that somebody has locked fails the dump, as it would the migration, and does not hold the deployment up.
dump() {
    sql 3>&1 >&2 <<SQL
SET lock_timeout = '5s';
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \\gset
\\setenv SNAPSHOT :snapshot
\\! pg_dump -Fc --lock-wait-timeout=5s --snapshot="\$SNAPSHOT" >&3 && echo backstay dumped
$tables \\gexec
\\echo backstay counted
COMMIT;
SQL
}

# Whatever is not an extension's: other schemas as a whole, the schema public piece by piece.
wipe="
DO \$wipe\$
DECLARE what text;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND pg_has_role(usesysid, 'MEMBER');
    FOR what IN
        SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace n
         WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') AND NOT EXISTS
               (SELECT FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND objid = n.oid AND deptype = 'e')
    LOOP EXECUTE what; END LOOP;
    FOR what IN
        SELECT format('DROP %s IF EXISTS public.%I CASCADE', CASE relkind WHEN 'v' THEN 'VIEW'
               WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
               WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, relname)
          FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
           AND NOT EXISTS (SELECT FROM pg_depend
                            WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype IN ('e', 'i'))
        UNION ALL
        SELECT format('DROP TYPE IF EXISTS public.%I CASCADE', typname)
          FROM pg_type t WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'r') AND NOT EXISTS
               (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype IN ('e', 'i'))
        UNION ALL
        SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure)
          FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS
               (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype IN ('e', 'i'))
    LOOP EXECUTE what; END LOOP;
    PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
END
\$wipe\$;"

# Without the last line, which comes only when all before it is there, the server takes everything back.
restore() {
    {
        printf '%s\n' '\o /dev/null' "SET lock_timeout = '60s'; SET client_min_messages = warning; BEGIN;" "$wipe"
        pg_restore --no-publications --no-subscriptions -f - && printf 'COMMIT;\n\\echo backstay restored\n'
    } | sql && { printf '%s \\gexec\n' "$tables" | sql; return; }
    echo backstay nothing
}

# Under a name of our own until it is whole: what another has that name is never dropped.
create() {
    [ -z "$(printf "SELECT 1 FROM pg_database WHERE datname = :'new'" | sql -v new="$1")" ] || {
        echo "there is a database $1 already"
        return 1
    }
    sql -v ours="$2" <<'SQL' || return
SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L', :'ours',
       pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype)
  FROM pg_database WHERE datname = current_database() \gexec
SQL
    pg_restore --exit-on-error --single-transaction --no-publications --no-subscriptions -d "$2" &&
        printf 'ALTER DATABASE :"ours" RENAME TO :"new"' | sql -v ours="$2" -v new="$1"
}

case $1 in
    dump) dump ;;
    data) pg_restore --data-only -f - ;;
    restore) restore ;;
    create) create "$3" "$4" ;;
    drop) printf 'DROP DATABASE IF EXISTS :"ours"' | sql -v ours="$3" ;;
esac
