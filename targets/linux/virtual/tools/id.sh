#!/bin/sh
# On a virtual board nobody is the administrator until `sudo` says so.
[ "$*" != -u ] || [ -n "${MB_VIRTUAL_ROOT-}" ] || { echo 1000; exit; }
exec /usr/bin/id "$@"
