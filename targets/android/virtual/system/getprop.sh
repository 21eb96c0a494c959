#!/system/bin/sh
. /system/etc/phone.sh
if (( $# )); then
  [[ $1 == -* ]] && die "getprop: unknown option $1"
  plain "$1" && get "props/$1" "$2" || REPLY=$2
  say "$REPLY"
else
  cd $S/props && for name in *; do [[ $name == *.new ]] || say "[$name]: [$(<"$name")]"; done
fi
