# shellcheck shell=sh
# After a success: the records and environments of the last $keep releases stay, older ones go.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./keep.sh
. ./backup.sh

# forget ID: the folder that was in its environment's place.
forget() { rm -rf "${link:?}.before-$1"; }

# needed FOLDER: by the undo of a release that is kept.
needed() {
    cat "$state"/releases/*/facts/venv.before 2>/dev/null | grep -qxF "link $1"
}

! known migrate.venv || put facts/migrate.venv "$venvs/$id"
tidy
tidy_backups
for made in "$venvs"/*; do
    [ "$made" = "$venvs/$id" ] || needed "$made" || rm -rf "$made"
done
