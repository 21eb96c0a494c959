#!/system/bin/sh
. /system/etc/phone.sh
[[ $1 == -t ]] && shift 2
service=$1; shift
battery() {
  case $1 in
    unplug) put battery/faked unplug; return ;;
    reset) rm -f $S/battery/*; return ;;
    set) plain "$2" && [[ $3 == ?(-)+([0-9]) ]] || die "Bad value: $3" 255
      put battery/faked set; put "battery/$2" "$3"; return ;;
    suspend_input) get props/ro.debuggable 0
      [[ $REPLY == 1 ]] || die "java.lang.SecurityException: suspend_input needs a debuggable build" 255
      put props/power.battery_input.suspended true; return ;;
    '') ;;
    *) die "Unknown command: $1" 255 ;;
  esac
  read -r online </sys/class/power_supply/usb/online
  if get battery/faked; then
    say "Current Battery Service state:"; say "  (UPDATES STOPPED -- use 'reset' to restart)"; online=0
  else
    say "Current Battery Service state:"
  fi
  field() { get "battery/$1" "$2"; }
  supply status
  case $REPLY in Charging) status=2 ;; Discharging) status=3 ;; Full) status=5 ;; *) status=4 ;; esac
  [[ $online == 0 && $status == 2 ]] && status=3
  [[ $online == 1 ]] && usb=true || usb=false
  say "  AC powered: false"; say "  USB powered: $usb"; say "  Wireless powered: false"
  say "  Max charging current: 500000"; say "  Max charging voltage: 5000000"
  supply charge_counter 2>/dev/null && say "  Charge counter: $REPLY"
  field status $status; say "  status: $REPLY"
  say "  health: 2"; say "  present: true"
  supply capacity; field level "$REPLY"; say "  level: $REPLY"
  say "  scale: 100"
  supply voltage_now; say "  voltage: ${REPLY%???}"
  supply temp; field temp "$REPLY"; say "  temperature: $REPLY"
  say "  technology: Li-ion"
  if get samsung; then supply current_now; say "  current now: $REPLY"; fi
}
deviceidle() {
  case $1 in
    disable|enable) [[ $1 == enable ]] && v=1 || v=0
      case ${2:-all} in
        all) put deviceidle/light $v; put deviceidle/deep $v; say "Deep idle mode ${1}d"; say "Light idle mode ${1}d" ;;
        light|deep) put deviceidle/$2 $v; say "${2} idle mode ${1}d" ;;
        *) die "Unknown idle mode: $2" 255 ;;
      esac ;;
    enabled) get deviceidle/light 1; light=$REPLY; get deviceidle/deep 1
      case ${2:-all} in all) say $(( light && REPLY )) ;; light) say $light ;; deep) say $REPLY ;; esac ;;
    get) case $2 in light|deep) say ACTIVE ;; *) say false ;; esac ;;
    *) get deviceidle/light 1; say "  mLightEnabled=$([[ $REPLY == 1 ]] && say true || say false)"
      get deviceidle/deep 1; say "  mDeepEnabled=$([[ $REPLY == 1 ]] && say true || say false)" ;;
  esac
}
case $service in
  battery) battery "$@" ;;
  deviceidle) deviceidle "$@" ;;
  thermalservice) [[ -e $S/thermalservice ]] || die "Can't find service: thermalservice"
    cat $S/thermalservice ;;
  power) get screen Awake; say "POWER MANAGER (dumpsys power)"; say; say "Power Manager State:"
    say "  mWakefulness=$REPLY"; get settings/global/low_power 0; say "  mIsLowPowerModeEnabled=$REPLY"
    get settings/global/stay_on_while_plugged_in 0; say "  mStayOnWhilePluggedInSetting=$REPLY" ;;
  '') say "Currently running services:"; say "  battery"; say "  deviceidle"; say "  power"
    [[ -e $S/thermalservice ]] && say "  thermalservice" ;;
  *) die "Can't find service: $service" ;;
esac
