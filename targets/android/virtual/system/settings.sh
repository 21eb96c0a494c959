#!/system/bin/sh
. /system/etc/phone.sh
[[ $1 == --user ]] && shift 2
verb=$1 space=$2 key=$3
case $space in system|secure|global) ;; *) die "Invalid namespace '$space'" 255 ;; esac
if [[ $verb == list ]]; then
  cd $S/settings/$space && for key in *; do [[ -e $key && $key != *.new ]] && say "$key=$(<"$key")"; done
  exit 0
fi
plain "$key" || die "Bad arguments" 255
case $verb in
  get) get "settings/$space/$key" null; say "$REPLY" ;;
  put) (( $# >= 4 )) || die "Bad arguments" 255
    put "settings/$space/$key" "$4" ;;
  delete) [[ -e $S/settings/$space/$key ]] && n=1 || n=0
    rm -f "$S/settings/$space/$key"; say "Deleted $n rows" ;;
  *) die "Bad arguments" 255 ;;
esac
