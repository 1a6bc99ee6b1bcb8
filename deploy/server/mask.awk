# Standard input with secrets masked, cut to a bounded size, and free of the byte that starts an event.
#   MASK_FILES  files of NAME=VALUE lines whose values are secrets, one path a line
#   MASK_KEEP   a word that is no secret even where such a file says it
#   limit=BYTES lines beyond this many bytes are left out in the middle (0 or absent: no limit)

function unquote(text) {
    sub(/^[ \t]+/, "", text)
    sub(/[ \t\r]+$/, "", text)
    if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
    return text
}

function add(text) {
    if (length(text) < 6 || text == ENVIRON["MASK_KEEP"] || text in seen) return
    if (text ~ /^[0-9.:]+$/ || text ~ /^(true|false|TRUE|FALSE|True|False|production|localhost|postgres)$/) return
    seen[text] = 1
    secrets[++count] = text
}

# %41 and the like, as a URL has them
function decode(text,    out, at) {
    while ((at = index(text, "%")) && substr(text, at + 1, 2) ~ /^[0-9A-Fa-f][0-9A-Fa-f]$/) {
        out = out substr(text, 1, at - 1) sprintf("%c", hex(substr(text, at + 1, 2)))
        text = substr(text, at + 3)
    }
    return out text
}

function hex(digits) {
    digits = tolower(digits)
    return (index("0123456789abcdef", substr(digits, 1, 1)) - 1) * 16 \
        + index("0123456789abcdef", substr(digits, 2, 1)) - 1
}

# The password of URL://user:password@host
function password(url) {
    if (!match(url, /:\/\/[^:\/@ ]*:.*@/)) return ""
    url = substr(url, RSTART + 3, RLENGTH - 4)
    return substr(url, index(url, ":") + 1)
}

function learn(line,    at, key, value) {
    sub(/^[ \t]*(export[ \t]+)?/, "", line)
    at = index(line, "=")
    if (line ~ /^#/ || at < 2) return
    key = toupper(substr(line, 1, at - 1))
    value = unquote(substr(line, at + 1))
    add(password(value))
    add(decode(password(value)))
    if (key ~ /^COMPOSE_/) return
    if (key ~ /(USER|DB|NAME|HOST|PORT|ENV|MODE|LEVEL|VERSION|TAG|DIR|PATH)$/ && key !~ /PASS|SECRET|TOKEN|KEY/) return
    add(value)
}

# The longest first: a secret that holds another one is masked whole.
function arrange(    i, j, held) {
    for (i = 2; i <= count; i++) {
        held = secrets[i]
        for (j = i - 1; j > 0 && length(secrets[j]) < length(held); j--) secrets[j + 1] = secrets[j]
        secrets[j + 1] = held
    }
}

function masked(text,    i, at, out) {
    for (i = 1; i <= count; i++) {
        out = ""
        while ((at = index(text, secrets[i]))) {
            out = out substr(text, 1, at - 1) "***"
            text = substr(text, at + length(secrets[i]))
        }
        text = out text
    }
    gsub(/:\/\/[^ \/:@]*:[^ \/@]+@/, "://***@", text)
    return text
}

function shorten(text) {
    if (length(text) <= 65536) return text
    return substr(text, 1, 32768) " [" (length(text) - 36864) " bytes left out] " substr(text, length(text) - 4095)
}

BEGIN {
    files = split(ENVIRON["MASK_FILES"], file, "\n")
    for (i = 1; i <= files; i++) {
        while ((getline line < file[i]) > 0) learn(line)
        close(file[i])
    }
    arrange()
}

{
    gsub(/\036/, "")
    text = shorten(masked($0))
    size += length(text) + 1
    if (!limit || size <= limit) {
        print text
        fflush()
        next
    }
    if (!cut++) {
        print "[over " limit " bytes of output: what follows is left out, but for the end]"
        fflush()
    }
    ring[cut % 200] = text
}

END {
    if (cut > 200) print "[" (cut - 200) " lines left out]"
    for (i = (cut > 200 ? cut - 199 : 1); i <= cut; i++) print ring[i % 200]
}
