#!/system/bin/sh
. /system/etc/phone.sh
case "$1 $2" in
  "power stayon")
    case $3 in
      true) (( api >= 34 )) && v=15 || v=7 ;;
      false) v=0 ;; ac) v=1 ;; usb) v=2 ;; wireless) v=4 ;; dock) v=8 ;;
      *) die "usage: svc power stayon [true|false|usb|ac|wireless|dock]" ;;
    esac
    put settings/global/stay_on_while_plugged_in $v; [[ $3 == false ]] || put screen Awake ;;
  "wifi enable"|"data enable") put settings/global/${1}_on 1 ;;
  "wifi disable"|"data disable") put settings/global/${1}_on 0 ;;
  *) die "Available commands:
    help     Show information about the subcommands
    power    Control the power manager
    data     Control mobile data connectivity
    wifi     Control the Wi-Fi manager" ;;
esac
