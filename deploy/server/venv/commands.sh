# shellcheck shell=sh
# commands: those of a deployment. `line` tells one.
commands() (
    git_() { line git "$@"; }
    new=$venvs/RELEASE
    line cd "$path"
    fetch
    git_ merge --ff-only "$wanted"
    if [ -n "$migrate" ]; then
        set --
        while IFS= read -r word; do
            [ -z "$word" ] || set -- "$word" "$@"
        done <<WORDS
$migrate_command
WORDS
        tell command "(cd $(typed "${venv_workdir:-${migrate_workdir:-.}}") && $(typed "$@"))"
    fi
    line "$python" -m venv "$new"
    line "$new/bin/python" -m pip install ${build_fresh:+--no-cache-dir} -r "$requirements"
    line ln -sfn "$new" "$link"
    tell command "$restart_command"
    exit 0
)
