#!/system/bin/sh
# There are no apps here: what ends them has nothing to do, anything else says so.
. /system/etc/phone.sh
case $1 in
  force-stop|kill|kill-all) ;;
  get-current-user) say 0 ;;
  *) die "Error: this phone is virtual and runs no apps: am $1" 255 ;;
esac
