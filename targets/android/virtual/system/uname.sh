#!/system/bin/sh
. /system/etc/phone.sh
(( $# )) || set -- -s
out=
while getopts asnrvmo flag; do
  case $flag in
    a) out="Linux localhost $(<$S/kernel) #1 SMP PREEMPT aarch64 Toybox" ;;
    s) out="$out Linux" ;; n) out="$out localhost" ;; r) out="$out $(<$S/kernel)" ;;
    v) out="$out #1 SMP PREEMPT" ;; m) out="$out aarch64" ;; o) out="$out Toybox" ;;
    *) exit 1 ;;
  esac
done
say "${out# }"
