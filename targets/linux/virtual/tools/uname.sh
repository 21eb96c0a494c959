#!/bin/sh
# The processor's name is in the file `machine`, where it is another one than this machine's.
[ "$*" != -m ] || [ ! -r "$MB_VIRTUAL/machine" ] || exec cat "$MB_VIRTUAL/machine"
exec /usr/bin/uname "$@"
