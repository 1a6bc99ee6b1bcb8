# Runs inside the migration container or environment: finds the Python that has Alembic, and gives it probe.py.
# usage: sh -c "$(cat probe.sh)" backstay SOURCE FOLDER ARGUMENT...
source=$1 folder=$2
shift 2
[ -z "$folder" ] || cd "$folder" || exit
# Looked for and not imported, which takes as long again. A folder of migrations may have that name: it has no origin.
has_alembic='import sys, importlib.util as u; found = u.find_spec("alembic"); sys.exit(not (found and found.origin))'
for python in python python3 "$(sed -n '1s/^#! *//p' "$(command -v alembic)" 2>/dev/null)"; do
    [ -n "$python" ] && "$python" -c "$has_alembic" 2>/dev/null && exec "$python" -c "$source" "$@"
done
echo "there is no Python with Alembic here" >&2
exit 96
