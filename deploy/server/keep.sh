# shellcheck shell=sh
# Which releases stay: the last $keep deployed ones, and all that are newer than the oldest of them.

oldest_kept() {
    release=$id count=1
    while [ "$count" -lt "$keep" ] && [ -s "$state/releases/$release/previous" ]; do
        next=$(cat "$state/releases/$release/previous")
        [ -d "$state/releases/$next" ] || break
        release=$next count=$((count + 1))
    done
    printf '%s\n' "$release"
}

# tidy: the engine's `forget` lets go of what is outside the release's folder.
tidy() {
    oldest=$(oldest_kept)
    (cd "$state/releases" && printf '%s\n' *) | sort | awk -v oldest="$oldest" '$0 == oldest { exit } { print }' |
        while read -r release; do
            forget "$release"
            git_ update-ref -d "refs/backstay/$release"
            rm -rf "${state:?}/releases/${release:?}"
        done
}

# tidy_operations NUMBER: the records of the last ones stay, among those that are no releases.
tidy_operations() {
    for release in "$state"/releases/*; do
        # shellcheck disable=SC1091
        case $( (. "$release/values.sh" && printf '%s' "$kind") 2>/dev/null) in db.*) printf '%s\n' "$release" ;; esac
    done | sort -r | sed "1,$1d" | while read -r release; do rm -rf "${release:?}"; done
}
