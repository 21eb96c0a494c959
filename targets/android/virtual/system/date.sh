#!/system/bin/sh
# The wall clock is the host's, ahead by what a fault set it.
. /system/etc/phone.sh
get clock_ahead 0; ahead=$REPLY
[[ $ahead == 0 ]] && exec toybox date "$@"
now=$(toybox date +%s)
exec toybox date -d "@$(( now + ahead ))" "$@"
