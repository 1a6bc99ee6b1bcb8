# How many rows of each table are in a dump's data, as pg_restore prints it: lines "TABLE COUNT".
inside && $0 == "\\." { print table, rows; inside = 0; next }
inside { rows++; next }
/^COPY .* FROM stdin;$/ {
    table = substr($0, 6)
    # The name ends before the first blank that is not in quotes.
    for (i = 1; i <= length(table); i++) {
        c = substr(table, i, 1)
        if (c == "\"") quoted = !quoted
        if (c == " " && !quoted) break
    }
    table = substr(table, 1, i - 1)
    inside = 1; rows = 0; quoted = 0
}
