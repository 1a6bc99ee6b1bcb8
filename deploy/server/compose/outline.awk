# What fab doctor needs of a compose file, from Compose's own normalised form (see model.awk): a service's keys but for
# those that hold values, such as its environment, labels and build arguments.

/^[^ ]/ { inside = /^services:/; if (inside) print; next }
!inside { next }
/^  [^ ]/ { print; next }
/^    [^ -]/ {
    key = $1
    shown = key ~ /^(build|command|container_name|depends_on|entrypoint|healthcheck|image|init|ports|profiles|restart|volumes|working_dir):$/
}
key == "build:" && /^      [^ -]/ { shown = $1 ~ /^(context|dockerfile|target):$/ }
shown { print }
