# shellcheck shell=sh
# What is on the server now. Read by enter.sh, in the kit.
. ./git.sh
. ./engine.sh
. ./health.sh
. ./migrate.sh

mkdir -p facts
answer image "$(image "$(linked)")"
if [ -n "$health_url" ] && url_answers; then
    answer running yes
    answer healthy yes
fi
if [ -n "$migrate" ] && [ -x "$link/bin/python" ] && probe state; then
    mv facts/probe.state facts/state.now
    answer heads "$(told now heads)"
fi
