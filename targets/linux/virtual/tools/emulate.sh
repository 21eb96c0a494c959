#!/bin/sh
# Run a program: one of aarch64 under qemu, as its header says (183 is EM_AARCH64), everything else as it is.
read -r qemu <"$MB_VIRTUAL/emulator"
case $1 in
    */*) program=$1 ;;
    *) program=$(command -v "$1") ;;
esac
machine=$(od -An -tu1 -j18 -N1 "$program" 2>/dev/null)
if [ -n "$qemu" ] && [ "${machine##* }" = 183 ]; then exec "$qemu" "$@"; fi
exec "$@"
