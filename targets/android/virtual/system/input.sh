#!/system/bin/sh
. /system/etc/phone.sh
[[ $1 == keyevent ]] || die "Error: Unknown command: $1" 255
case ${2#KEYCODE_} in
  224|WAKEUP) put screen Awake ;;
  223|SLEEP) put screen Asleep ;;
  26|POWER) get screen Awake; [[ $REPLY == Awake ]] && put screen Asleep || put screen Awake ;;
  *[!0-9A-Z_]*|'') die "Error: Invalid arguments for command: keyevent" 255 ;;
esac
