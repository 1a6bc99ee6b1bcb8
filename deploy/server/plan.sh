# shellcheck shell=sh
# What a deployment of $ref would bring. Takes no lock, and changes nothing but what a fetch changes. Read by enter.sh,
# in the kit.
. ./git.sh
. ./check_git.sh
. ./engine.sh
. ./migrate.sh
. ./migration.sh
. ./foresee.sh
. ./commands.sh

tell() { printf 'backstay %s %s\n' "$1" "$2"; }

# try CHECK: what it would refuse is told instead.
try() (
    # shellcheck disable=SC2329
    fail() { tell stop "$1" && tell hint "${2:-}" && exit 1; }
    "$@"
)

# typed WORD...: a command as one would type it.
typed() {
    text=''
    for word; do
        case $word in
            '' | *[!A-Za-z0-9_./:=@%+,-]*) word="'$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'" ;;
        esac
        text="$text${text:+ }$word"
    done
    printf '%s' "$text"
}
line() { tell command "$(typed "$@")"; }

# Git's notes on the files' times are written to a copy: a deployment may be at work on the real ones.
export GIT_OPTIONAL_LOCKS=0
cp "$(git_ rev-parse --absolute-git-dir)/index" facts/index 2>/dev/null && export GIT_INDEX_FILE="$PWD/facts/index"

fetch >fetched 2>&1 || { cat fetched && exit 1; }
resolve
here=$(head_commit) || fail "the checkout $path has no commit yet"
tell here "$here"
tell wanted "$wanted"
try check_tree && try check_move && try check_way
for way in "commit $here..$wanted" "gone $wanted..$here"; do
    git_ log --no-show-signature -n 500 --format="backstay ${way%% *} %H %aI %an%x09%s" "${way#* }"
    tell "${way%% *}s" "$(git_ rev-list --count "${way#* }")"
done
git_ -c core.quotePath=false diff --name-status -M "$here" "$wanted" | sed 's/^/backstay changed /'

ready_engine
if [ -n "$migrate" ]; then
    if can_plan && foresee; then cat facts/probe.plan; else tell unreadable "$why_not"; fi
fi
commands
