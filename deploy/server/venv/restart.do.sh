# shellcheck shell=sh
# restart: the link leads to the new environment, the user's command runs; then the health URL must answer, and go on so.
. ./values.sh
. ./lib.sh
. ./engine.sh
. ./health.sh

put facts/venv.before "$(linked)"
fact image.before "$(image "$(recall venv.before)")"
put facts/answered "$(if url_answers; then echo yes; else echo no; fi)"
[ "$(recall venv.before)" != folder ] || mv "$link" "$link.before-$id" || fail "the folder $link could not be moved aside"
point_to "$venvs/$id" || fail "the link $link could not be made"
put facts/restarted yes
put facts/new.runs yes
own "$venvs/$id" "$restart_command" || { show_logs; fail "the restart command failed" "It is restart in [venv]."; }
[ -z "$health_url" ] || await application || { show_logs; fail "the new release $why"; }
fact image.after "$id"
