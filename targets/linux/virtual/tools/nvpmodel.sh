#!/bin/sh
# The part of nvpmodel that is used: -q, and -m N. A mode whose number is in `reboot_modes` asks for a reboot.
conf=$MB_ETC/nvpmodel.conf
case $1 in
    -q)
        read -r now <"$MB_VIRTUAL/mode"
        echo "NV Power Mode: $(sed -n "s/^< POWER_MODEL ID=$now NAME=\([^ ]*\) >/\1/p" "$conf")"
        echo "$now"
        ;;
    -m)
        [ -n "${MB_VIRTUAL_ROOT-}" ] || { echo 'NVPM ERROR: must be run as root' >&2; exit 1; }
        grep -q "^< POWER_MODEL ID=$2 " "$conf" || { echo "NVPM ERROR: no mode $2" >&2; exit 1; }
        case " $(cat "$MB_VIRTUAL/reboot_modes" 2>/dev/null) " in
            *" $2 "*)
                echo "NVPM WARN: Reboot required for changing to this power mode: $2"
                echo 'NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:'
                exit 0
                ;;
        esac
        echo "$2" >"$MB_VIRTUAL/mode"
        ;;
    *) exit 1 ;;
esac
