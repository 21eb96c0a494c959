#!/bin/sh
# The part of jetson_clocks that is used: --store FILE, --restore FILE, and alone: each lowest clock is the highest.
[ -n "${MB_VIRTUAL_ROOT-}" ] || { echo 'jetson_clocks: must be run as root' >&2; exit 1; }
cd "$MB_SYS/devices/system/cpu/cpufreq" || exit 1
case ${1-} in
    --store) [ ! -e "$2" ] && grep -H . policy*/scaling_min_freq >"$2" ;;
    --restore) while IFS=: read -r file khz; do echo "$khz" >"$file"; done <"$2" ;;
    '') for policy in policy*; do cat "$policy/scaling_max_freq" >"$policy/scaling_min_freq"; done ;;
    *) exit 1 ;;
esac
