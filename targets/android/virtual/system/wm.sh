#!/system/bin/sh
. /system/etc/phone.sh
case $1 in
  size) say "Physical size: 1080x2400" ;;
  density) say "Physical density: 420" ;;
  *) die "Unknown command: $1" 255 ;;
esac
