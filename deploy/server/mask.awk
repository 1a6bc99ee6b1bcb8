# Standard input with secrets masked, cut to a bounded size, and free of the byte that starts an event.
#   MASK_FILES  files of NAME=VALUE lines whose values are secrets, one path a line
#   MASK_KEEP   a word that is no secret even where such a file says it
#   limit=BYTES output beyond this many bytes is left out, but for its last lines (0 or absent: no limit)
#   eof=TEXT    a line that ends so is the last one; without it, the end of the input is

# What a value may be meant as: with its quotes or without, with what follows a # or without.
function learn_value(text, secret,    quote, at) {
    sub(/^[ \t]+/, "", text)
    sub(/[ \t\r]+$/, "", text)
    quote = substr(text, 1, 1)
    add(text, secret)
    if (quote == "\"" || quote == "'") {
        text = substr(text, 2)
        at = closing(text, quote)
        if (!at) open_quote = quote
        learn_text(at ? substr(text, 1, at - 1) : text, secret)
        return
    }
    learn_text(text, secret)
    if (match(text, /[ \t]+#/)) learn_text(substr(text, 1, RSTART - 1), secret)
}

function learn_text(text, secret,    plain) {
    add(text, secret)
    plain = text
    gsub(/\\/, "", plain)
    add(plain, secret)
    add_coded(plain, secret)
    add(password(text), 1)
    add(decode(password(text)), 1)
    add_coded(decode(password(text)), 1)
}

# A URL has a text with special characters as %41 and the like.
function add_coded(text, secret) {
    if (text !~ /[^A-Za-z0-9._~-]/ || text ~ /:\/\//) return
    add(encode(text, "0123456789ABCDEF"), secret)
    add(encode(text, "0123456789abcdef"), secret)
}

# Where a quoted text ends: at the first such quote that no backslash precedes.
function closing(text, quote,    at, from) {
    from = 1
    while ((at = index(substr(text, from), quote))) {
        at += from - 1
        if (at == 1 || quote == "'" || substr(text, at - 1, 1) != "\\") return at
        from = at + 1
    }
    return 0
}

# Ordinary words are secrets only where a name says so: masked everywhere, they would make the output unreadable.
function add(text, secret) {
    if (length(text) < 6 || text == ENVIRON["MASK_KEEP"] || text in seen) return
    if (text ~ /^(production|localhost|postgres)$/) return
    if (!secret && text ~ /^([0-9.:]+|true|false|TRUE|FALSE|True|False|staging|development)$/) return
    seen[text] = 1
    secrets[++count] = text
    if (length(text) > longest) longest = length(text)
}

function decode(text,    out, at) {
    while ((at = index(text, "%"))) {
        out = out substr(text, 1, at - 1)
        if (substr(text, at + 1, 2) ~ /^[0-9A-Fa-f][0-9A-Fa-f]$/) {
            out = out sprintf("%c", hex(substr(text, at + 1, 2)))
            at += 2
        } else out = out "%"
        text = substr(text, at + 1)
    }
    return out text
}

function encode(text, digits,    out, i, byte) {
    for (i = 1; i <= length(text); i++) {
        byte = substr(text, i, 1)
        if (byte !~ /[A-Za-z0-9._~-]/ && byte in code)
            byte = "%" substr(digits, int(code[byte] / 16) + 1, 1) substr(digits, code[byte] % 16 + 1, 1)
        out = out byte
    }
    return out
}

function hex(digits) {
    digits = tolower(digits)
    return (index("0123456789abcdef", substr(digits, 1, 1)) - 1) * 16 \
        + index("0123456789abcdef", substr(digits, 2, 1)) - 1
}

# The password of SCHEME://user:password@host
function password(url) {
    if (!match(url, /:\/\/[^:\/@ ]*:.*@/)) return ""
    url = substr(url, RSTART + 3, RLENGTH - 4)
    return substr(url, index(url, ":") + 1)
}

function learn(line,    key, secret) {
    if (open_quote) {
        if (closing(line, open_quote)) {
            line = substr(line, 1, closing(line, open_quote) - 1)
            open_quote = ""
        }
        sub(/\r$/, "", line)
        learn_text(line, 1)
        return
    }
    sub(/^[ \t]*(export[ \t]+)?/, "", line)
    if (!match(line, /^[^#=: \t][^=: \t]*[ \t]*[=:]/)) return
    key = toupper(substr(line, 1, RLENGTH - 1))
    sub(/[ \t]+$/, "", key)
    line = substr(line, RLENGTH + 1)
    add(password(line), 1)
    if (key ~ /^COMPOSE_/) return
    secret = key ~ /PASS|SECRET|TOKEN|KEY/
    if (!secret && key ~ /(USER|DB|NAME|HOST|PORT|ENV|ENVIRONMENT|MODE|LEVEL|VERSION|TAG|DIR|PATH)$/) return
    learn_value(line, secret)
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
    if (index(text, "://")) gsub(/:\/\/[^ \/:@]*:[^ \/@]+@/, "://***@", text)
    return text
}

# filtered TEXT: masked; a very long line is cut first, and what a cut may leave of a secret goes with it.
function filtered(text,    head, tail) {
    if (index(text, "\036")) gsub(/\036/, "", text)
    if (length(text) <= 65536) return masked(text)
    head = masked(substr(text, 1, 32768))
    tail = masked(substr(text, length(text) - 32767))
    return substr(head, 1, length(head) - longest) " [" (length(text) - 65536) " bytes left out] " \
        substr(tail, longest + 1)
}

BEGIN {
    for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i
    files = split(ENVIRON["MASK_FILES"], file, "\n")
    for (i = 1; i <= files; i++) {
        while (file[i] != "" && (getline line < file[i]) > 0) learn(line)
        close(file[i])
        open_quote = ""
    }
    arrange()
}

{
    last = eof != "" && substr($0, length($0) - length(eof) + 1) == eof
    if (last) $0 = substr($0, 1, length($0) - length(eof))
    if (last && $0 == "") exit
    size += length($0) + 1
    if (!limit || size <= limit) {
        print filtered($0)
        fflush()
    } else {
        if (!cut++) {
            print "[over " limit " bytes of output: what follows is left out, but for the end]"
            fflush()
        }
        ring[cut % 200] = length($0) <= 65536 ? $0 : filtered($0)
    }
    if (last) exit
}

END {
    if (cut > 200) print "[" (cut - 200) " lines left out]"
    for (i = (cut > 200 ? cut - 199 : 1); i <= cut; i++) print filtered(ring[i % 200])
}
