#!/bin/sh
# What board '$(reboot)' is, how it stands, what can be sampled and set on it. Written by `mobench compile`.
#
#   sh board.sh facts             KEY=VALUE lines: what it is
#   sh board.sh state             likewise: how it stands
#   sh board.sh heat              the file of the default temperature
#   sh board.sh channels          what is sampled: name, unit, file, source, tier, scale, between tabs
#   sh board.sh sample            the same as the runner's sample.json
#   sh board.sh rate              readings a second, every how many the slow ones, seconds of it before the instrument
#   sh board.sh plan NAME VALUE   two lines: the command that would undo, and the one that would set a condition
#   sh board.sh verify NAME VALUE whether a condition is as asked for; says how it is
#
# Reads only. MB_SYS, MB_PROC, MB_ETC, MB_CPUINFO stand for /sys, /proc, /etc and /proc/cpuinfo.
set -u
LC_ALL=C
export LC_ALL
: "${MB_SYS:=/sys}" "${MB_PROC:=/proc}" "${MB_ETC:=/etc}" "${MB_ROOT:=${HOME:-/tmp}/.mobench}"
tab=$(printf '\t')

refuse() { # why: a condition that cannot be set
    echo "$1" >&2
    exit 3
}

value() { # FILE -> $value, its first line; fails if it cannot be read
    value=
    { read -r value <"$1"; } 2>/dev/null || [ -n "$value" ]
}

text() { # FILE: its text without NUL characters and line ends
    { tr -d '\000\n\r' <"$1"; } 2>/dev/null
}

number() { # whether the word is a whole number
    case $1 in
        '' | *[!0-9]*) return 1 ;;
        *) return 0 ;;
    esac
}

as_root() { # -> $root_do, the words before a command that needs the administrator
    root_do=
    [ "$(id -u)" != 0 ] || return 0
    if sudo -n true </dev/null >/dev/null 2>&1; then
        root_do='sudo -n '
        return 0
    fi
    refuse "sudo wants a password on this board; a line such as '$(id -un) ALL=(root) NOPASSWD: ALL' in a file of /etc/sudoers.d lets mobench change settings"
}

put() { # VALUE FILE -> $command, which writes it; both without quotes and blanks in them
    case $1$2 in
        *[!A-Za-z0-9_./:@,+-]*) refuse "$2 has a name that cannot stand in a command" ;;
    esac
    if [ -w "$2" ]; then
        command="echo $1 >$2"
    else
        as_root
        command="echo $1 | ${root_do}tee $2 >/dev/null"
    fi
}

# ---------------------------------------------------------------- what it is

facts() {
    echo "arch=$(uname -m)"
    echo "kernel=$(uname -r)"
    echo "hostname=$(uname -n)"
    echo "os=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' "$MB_ETC/os-release" 2>/dev/null)"
    echo "machine_id=$(text "$MB_ETC/machine-id")"
    echo "model=$(text "$MB_SYS/firmware/devicetree/base/model")"
    echo "serial=$(text "$MB_SYS/firmware/devicetree/base/serial-number")"
    sed -n -e 's/^model name[[:blank:]]*: /cpu=/p' -e 's/^CPU part[[:blank:]]*: /part=/p' \
        -e 's/^Features[[:blank:]]*: /features=/p' "${MB_CPUINFO:-$MB_PROC/cpuinfo}" | sort -u
    echo "cores=$(grep -c ^processor "${MB_CPUINFO:-$MB_PROC/cpuinfo}")"
    sed -n -e 's/^MemTotal: *\([0-9]*\) kB/ram_kib=\1/p' -e 's/^SwapTotal: *\([0-9]*\) kB/swap_kib=\1/p' "$MB_PROC/meminfo"
    for policy in "$MB_SYS"/devices/system/cpu/cpufreq/policy*; do
        value "$policy/cpuinfo_max_freq" || continue
        most=$value
        value "$policy/related_cpus" && echo "cluster=$most $value"
    done
    value "$MB_SYS/devices/system/cpu/cpufreq/policy0/scaling_governor" && echo "governor=$value"
}

state() {
    value "$MB_PROC/uptime" && echo "uptime=${value%% *}"
    echo "wall=$(date +%s)"
    value "$MB_PROC/loadavg" && echo "load=${value%% *}"
    sed -n -e 's/^MemAvailable: *\([0-9]*\) kB/memory_kib=\1/p' -e 's/^SwapFree: *\([0-9]*\) kB/swap_free_kib=\1/p' "$MB_PROC/meminfo"
    sed -n 's/^cpu \(.*\)/stat=\1/p' "$MB_PROC/stat"
    heat_file=$(heat)
    [ -z "$heat_file" ] || { value "$heat_file" && echo "temperature=$value"; }
    for policy in "$MB_SYS"/devices/system/cpu/cpufreq/policy*; do
        value "$policy/scaling_cur_freq" && echo "clock=${policy##*/} $value"
    done
}

# ---------------------------------------------------------------- what is sampled

plausible() { # FILE: absent probes read 0, −256 °C or 255 °C on many boards
    value "$1" && number "$value" && [ "$value" -gt 0 ] && [ "$value" -lt 200000 ]
}

heat() { # the default temperature: that of the processor
    for wanted in cpu-thermal cpu_thermal x86_pkg_temp soc-thermal soc_thermal; do
        for zone in "$MB_SYS"/class/thermal/thermal_zone*; do
            if value "$zone/type" && [ "$value" = "$wanted" ] && plausible "$zone/temp"; then
                echo "$zone/temp"
                return
            fi
        done
    done
}

channel() { # NAME UNIT FILE SOURCE TIER SCALE
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$@"
}

word() { # TEXT: as a part of a channel's name
    printf %s "$1" | tr -c 'A-Za-z0-9_\n-' _
}

channels() {
    default=$(heat)
    [ -z "$default" ] || channel soc_temp 'm°C' "$default" 'thermal zone' slow 1
    for zone in "$MB_SYS"/class/thermal/thermal_zone*; do
        [ "$zone/temp" != "$default" ] || continue
        value "$zone/type" || continue
        name=$value
        case $name in
            PMIC* | pmic*) continue ;; # a dummy on most boards
        esac
        plausible "$zone/temp" && channel "temp.$(word "$name")" 'm°C' "$zone/temp" 'thermal zone' slow 1
    done
    for policy in "$MB_SYS"/devices/system/cpu/cpufreq/policy*; do
        value "$policy/scaling_cur_freq" && channel "cpu_freq.${policy##*/}" kHz "$policy/scaling_cur_freq" cpufreq slow 1
    done
}

rate() { # -> $hz; $every: the slow ones are read in every so many readings; $lead_s before the instrument
    hz=10 every=10 lead_s=0
}

sample() {
    rate
    echo "{\"version\": 1, \"out\": \"samples.jsonl\", \"hz\": $hz, \"slow_every\": $every, \"until\": \"stdin\", \"channels\": ["
    channels | sed 's/\\/\\\\/g; s/"/\\"/g' | {
        comma=
        while IFS=$tab read -r name unit file source tier scale; do
            echo "$comma{\"name\": \"$name\", \"unit\": \"$unit\", \"path\": \"$file\", \"source\": \"$source\", \"tier\": \"$tier\", \"scale\": $scale}"
            comma=,
        done
    }
    echo ']}'
}

# ---------------------------------------------------------------- conditions

plan_governor() { # VALUE
    undos='' dos=
    for policy in "$MB_SYS"/devices/system/cpu/cpufreq/policy*; do
        value "$policy/scaling_available_governors" || refuse "this board's kernel shows no governors"
        case " $value " in
            *" $1 "*) ;;
            *) refuse "this board has no governor $1; it has $value" ;;
        esac
        value "$policy/scaling_governor" || refuse "$policy/scaling_governor cannot be read"
        put "$value" "$policy/scaling_governor"
        undos="$undos$command; "
        put "$1" "$policy/scaling_governor"
        dos="$dos$command && "
    done
    [ -n "$dos" ] || refuse "this board's kernel has no cpufreq"
    printf '%s:\n%s:\n' "$undos" "$dos"
}

verify_governor() { # VALUE
    for policy in "$MB_SYS"/devices/system/cpu/cpufreq/policy*; do
        value "$policy/scaling_governor"
        echo "$value"
        [ "$value" = "$1" ] || return 1
    done
}

verb=${1-}
case $verb in
    facts | state | heat | channels | sample) "$verb" ;;
    rate) rate && echo "$hz $every $lead_s" ;;
    plan | verify)
        [ $# -eq 3 ] || refuse "$verb needs a condition and a value"
        case $2 in
            governor) "${verb}_$2" "$3" ;;
            *) refuse "a board has no condition $2" ;;
        esac
        ;;
    *) refuse "say what: facts, state, heat, channels, sample, rate, plan or verify" ;;
esac
