# shellcheck shell=sh
# What the steps of `fab db.*` share.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh
. ./health.sh
. ./migrate.sh
. ./migration.sh
. ./backup.sh
. ./dialects.sh

# look_deployed: the database now, of which the deployed code must know the revisions.
look_deployed() {
    look before
    [ -z "$(told before unknown)" ] || [ -n "${1:-}" ] ||
        fail "the database is at $(told before unknown), which the deployed code does not know" "fab db.history shows what it knows."
    fact heads.before "$(told before heads)"
}

# aim_at up|down REVISION: which revisions, noted before anything is done.
aim_at() {
    probe aim "$1" "$2" || fail "there is no way to $2: $(reason)" "fab db.history shows the revisions."
    put facts/planned "$(answer_of aim order)"
    put facts/aim "$(answer_of aim aim)"
    if [ -z "$(recall planned)" ]; then
        say info "the database is at $(recall heads.before) already: nothing to do"
        fact heads.after "$(recall heads.before)"
        put facts/unchanged yes
    fi
}

# arrived: at the heads that were aimed at.
arrived() {
    fact heads.after "$(told now heads)"
    [ "$(told now heads)" = "$(recall aim)" ] || fail "the database is at $(told now heads), not at $(recall aim)"
}
