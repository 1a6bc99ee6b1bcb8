# shellcheck shell=sh
# build: a fresh environment, without pip's cache.
. ./values.sh
. ./lib.sh
. ./git.sh
. ./engine.sh

make_venv "$venvs/$id" ${build_fresh:+--no-cache-dir} || fail "the environment could not be made"
