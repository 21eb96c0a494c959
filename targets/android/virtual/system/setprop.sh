#!/system/bin/sh
# A shell may set few properties: what debugging needs, and the one that suspends charging.
. /system/etc/phone.sh
(( $# == 2 )) || die "usage: setprop NAME VALUE"
case $1 in
  debug.*|log.*|persist.log.*|power.battery_input.suspended) ;;
  *) die "Failed to set property '$1' to '$2'.
See dmesg for error reason." ;;
esac
plain "$1" && (( ${#2} < 92 )) || die "Failed to set property '$1' to '$2'."
put "props/$1" "$2"
