#!/bin/sh
# Synthetic lines of this board's shape, one every --interval ms.
every=1000
[ "${1-}" != --interval ] || every=$2
while cat "$MB_VIRTUAL/tegrastats"; do sleep "$((every / 1000)).$(printf %03d $((every % 1000)))"; done
