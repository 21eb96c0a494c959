#!/bin/sh
# The one service that is asked for: the fan's own control, whose state is the file `nvfancontrol`.
case $1 in
    is-active) [ -e "$MB_VIRTUAL/nvfancontrol" ] ;;
    stop) rm -f "$MB_VIRTUAL/nvfancontrol" ;;
    start) : >"$MB_VIRTUAL/nvfancontrol" ;;
    *) exit 1 ;;
esac
