# What we need of a compose file, from Compose's own normalised form of it (`config`), as flat lines:
#   project NAME | SERVICE image NAME | SERVICE build | SERVICE dep SERVICE | SERVICE profile NAME | SERVICE volume
# The form is Compose's output, two blanks a level (v1 does not indent lists), so no YAML parser is needed.

function plain(text) {
    sub(/^[ -]+/, "", text)
    sub(/:?[ ]*$/, "", text)
    if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
    return text
}
function value(text) {
    sub(/^[^:]*: */, "", text)
    return plain(text)
}

/^name:/ { print "project " value($0) }
/^[^ ]/ { inside = /^services:/; next }
!inside { next }
/^  [^ ]/ { service = plain($0); key = ""; print service " service"; next }
/^    [^ -]/ {
    key = $1
    if (key == "image:") print service " image " value($0)
    if (key == "build:") print service " build"
    next
}
key == "depends_on:" && (/^      [^ ]+:$/ || /^ *- /) { print service " dep " plain($0) }
key == "profiles:" && /^ *- / { print service " profile " plain($0) }
