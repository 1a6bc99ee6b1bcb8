# The variables of files of NAME=VALUE lines whose values hold a $NAME that no line defines: FILE:LINE:NAME. Compose v2
# puts nothing in its place. Within single quotes, after another $ or a backslash, and with a default, it is meant.

function name_of(line) {
    sub(/^[ \t]*(export[ \t]+)?/, "", line)
    return match(line, /^[A-Za-z_][A-Za-z0-9_]*[ \t]*=/) ? substr(line, 1, RLENGTH - 1) : ""
}
{
    name = name_of($0)
    sub(/[ \t]+$/, "", name)
    if (name == "") next
    known[name] = 1
    value = substr($0, index($0, "=") + 1)
    sub(/^[ \t]+/, "", value)
    if (value ~ /^'/) next
    gsub(/\\\$|\$\$/, "", value)
    while (match(value, /\$[{]?[A-Za-z_][A-Za-z0-9_]*[}]?/)) {
        used = substr(value, RSTART, RLENGTH)
        value = substr(value, RSTART + RLENGTH)
        if (used ~ /^\$[{]/ && used !~ /[}]$/) continue
        gsub(/[${}]/, "", used)
        place[++count] = FILENAME ":" FNR ":" name
        uses[count] = used
    }
}
END {
    for (i = 1; i <= count; i++)
        if (!(uses[i] in known) && !(place[i] in said)) { said[place[i]] = 1; print place[i] }
}
