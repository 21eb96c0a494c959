#!/bin/sh
# Stands for docker on a virtual board: writes its arguments down, and runs the command of `run` as it is, in a session of
# its own: what ends the client does not end it. The files no_docker_group, no_runtime and no_image are faults.
printf '%s\n' "$*" >>"$MB_VIRTUAL/docker.log"
containers=$MB_VIRTUAL/containers
mkdir -p "$containers"
case $1 in
    info)
        [ ! -e "$MB_VIRTUAL/no_docker_group" ] || { echo 'permission denied while trying to connect to docker.sock' >&2; exit 1; }
        [ -e "$MB_VIRTUAL/no_runtime" ] || nvidia=',"nvidia":{"path":"nvidia-container-runtime"}'
        echo "{\"runc\":{\"path\":\"runc\"}${nvidia-}}"
        ;;
    image)
        [ ! -e "$MB_VIRTUAL/no_image" ] || { echo 'Error: No such image' >&2; exit 1; }
        echo sha256:0123456789abcdef
        ;;
    run)
        shift
        while :; do
            case $1 in
                --rm) shift ;;
                --name) name=$2 && shift 2 ;;
                -e) case $2 in *=*) export "${2?}" ;; esac; shift 2 ;;
                --runtime | --network | -v | -w | --entrypoint) shift 2 ;;
                *) break ;;
            esac
        done
        shift # the image
        unset MOBENCH_LAUNCH # processes of another user: whoever looks for the token does not find it
        setsid sh -c 'echo $$ >"$0"; exec emulate "$@"' "$containers/$name" "$@" &
        wait "$!"
        rc=$?
        rm -f "$containers/$name"
        exit "$rc"
        ;;
    kill)
        [ -f "$containers/$2" ] || { echo "Error: No such container: $2" >&2; exit 1; }
        read -r pid <"$containers/$2"
        kill -KILL "$pid"
        rm -f "$containers/$2"
        ;;
esac
