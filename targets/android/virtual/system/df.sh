#!/system/bin/sh
# /data is as large as the profile says; what it holds is counted.
. /system/etc/phone.sh
kib=0 paths=
for word; do case $word in -k|-P|-kP|-Pk) ;; -*) exec toybox df "$@" ;; *) paths="$paths $word" ;; esac; done
case "$paths" in
  ''|*' /data'*|*' /sdcard'*) ;;
  *) exec toybox df "$@" ;;
esac
used=$(du -s -k /data); used=${used%%[!0-9]*}; size=$(<$S/storage_kib)
free=$(( size > used ? size - used : 0 ))
say "Filesystem     1K-blocks    Used Available Use% Mounted on"
say "/dev/block/dm-51 $size $used $free $(( size ? used * 100 / size : 100 ))% /data"
