# How many rows of each table are in a dump of mysqldump or mariadb-dump: lines "TABLE COUNT"; it fails when the dump
# has no end. A row is one "(" outside of names and texts; a line never ends within a text.
/^DELIMITER / { body = ($2 != ";") }
body { next }
/^CREATE TABLE `/ { rows[name($0)] += 0 }
/^INSERT INTO `/ {
    table = name($0)
    gsub(/`([^`]|``)*`/, "")
    sub(/^[^V]*VALUES/, "")
    inside = 1
}
inside {
    gsub(/'([^'\\]|\\.)*'/, "")
    inside = !/;$/
    rows[table] += gsub(/\(/, "")
}
/^-- Dump completed/ { whole = 1 }
END {
    if (!whole) exit 1
    for (table in rows) print table, rows[table]
}

# name LINE: what is in its first backticks.
function name(line) {
    match(line, /`([^`]|``)*`/)
    line = substr(line, RSTART + 1, RLENGTH - 2)
    gsub(/``/, "`", line)
    return line
}
