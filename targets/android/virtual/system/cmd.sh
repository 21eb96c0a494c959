#!/system/bin/sh
. /system/etc/phone.sh
service=$1; shift
missing() { die "cmd: Can't find service: $service" 20; }
unknown() { die "Unknown command: $1" 255; }
switch() { case $2 in true|1|enable) put "$1" 1 ;; false|0|disable) put "$1" 0 ;; *) die "Error: bad argument $2" 255 ;; esac; }
case $service in
  battery|deviceidle) exec /system/bin/dumpsys $service "$@" ;;
  connectivity) (( api >= 30 )) || missing
    [[ $1 == airplane-mode ]] || unknown "$1"
    get settings/global/airplane_mode_on 0
    if [[ -z $2 ]]; then [[ $REPLY == 1 ]] && say enabled || say disabled
    else switch settings/global/airplane_mode_on "$2"; fi ;;
  power) (( api >= 26 )) || missing
    case $1 in
      set-mode) get battery/faked; faked=$?; read -r online </sys/class/power_supply/usb/online
        [[ $2 == 1 && $online == 1 && $faked != 0 ]] && die "Battery saver cannot be enabled while plugged in" 255
        switch settings/global/low_power "$2" ;;
      set-fixed-performance-mode-enabled) (( api >= 30 )) || unknown "$1"
        switch fixed_performance "$2" ;;
      set-adaptive-power-saver-enabled) switch adaptive_power_saver "$2" ;;
      *) unknown "$1" ;;
    esac ;;
  thermalservice) [[ -e $S/thermalservice ]] || missing
    case $1 in
      override-status) plain "$2" && put thermal_override "$2" ;;
      reset) rm -f $S/thermal_override ;;
      *) unknown "$1" ;;
    esac ;;
  *) missing ;;
esac
