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
    # "# R36 (release), REVISION: 4.3, GCID: …" is L4T 36.4.3
    sed -n 's/^# R\([0-9]*\) (release), REVISION: \([0-9.]*\).*/l4t=\1.\2/p' "$MB_ETC/nv_tegra_release" 2>/dev/null
    cuda=$(tr -d ' \n' <"${MB_CUDA:-/usr/local/cuda}/version.json" 2>/dev/null | sed -n 's/.*"cuda":{[^}]*"version":"\([^"]*\)".*/\1/p')
    echo "cuda=$cuda"
    mode && echo "power_mode=$mode_name"
    echo "power_modes=$(modes | sed 's/^[0-9]* //' | tr '\n' ' ')"
    total
    echo "rails=$(rails | cut -f 1 | tr '\n' ' ')"
    echo "rails_total=$total_rails"
    echo "rails_reason=$total_reason"
    echo "docker=$(command -v docker 2>/dev/null)"
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
    mode && echo "power_mode=$mode_name"
    if command -v tegrastats >/dev/null 2>&1; then
        line=$(timeout 3 tegrastats --interval 100 2>/dev/null | head -n 1)
        [ -z "$line" ] || echo "tegrastats=$line"
    fi
}

# ---------------------------------------------------------------- what is sampled

plausible() { # FILE: absent probes read 0, −256 °C or 255 °C on many boards
    value "$1" && number "$value" && [ "$value" -gt 0 ] && [ "$value" -lt 200000 ]
}

heat() { # the default temperature: that of the processor
    for wanted in tj-thermal CPU-therm cpu-thermal MCPU-therm BCPU-therm CPU0-therm; do
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
    total
    rails | while IFS=$tab read -r name where millivolts milliamps milliwatts; do
        case " $total_rails " in
            *" $name "*) part='' tier=fast ;;
            *) part=rail. tier=slow ;;
        esac
        short=$(word "$name")
        source="INA3221 $where $name"
        if [ "$milliwatts" != - ]; then
            channel "${part}power.$short" mW "$milliwatts" "$source" "$tier" 1
        else
            channel "${part}current.$short" mA "$milliamps" "$source" "$tier" 1
            channel "${part}voltage.$short" mV "$millivolts" "$source" "$tier" 1
        fi
    done
    for file in "$MB_SYS"/devices/gpu.0/load "$MB_SYS"/devices/platform/gpu.0/load "$MB_SYS"/devices/platform/*.gpu/load; do
        if value "$file" && number "$value"; then
            channel gpu_util permille "$file" 'GPU load' slow 1
            break
        fi
    done
    for file in "$MB_SYS"/class/devfreq/*gpu*/cur_freq "$MB_SYS"/class/devfreq/*gp10b*/cur_freq "$MB_SYS"/class/devfreq/*gv11b*/cur_freq; do
        if value "$file" && number "$value"; then
            channel gpu_freq Hz "$file" devfreq slow 1
            break
        fi
    done
}

rate() { # -> $hz; $every: the slow ones are read in every so many readings; $lead_s before the instrument
    hz=10 every=10 lead_s=0
    # The fast tier, which is rails alone, a hundred times a second; all else ten times. Three seconds before the
    # instrument tell what the module takes without it.
    [ -z "$(rails)" ] || hz=100 lead_s=3
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

# ---------------------------------------------------------------- rails

rails() { # label, where, and the files of mV, mA, mW (- where there is none), between tabs
    for label in "$MB_SYS"/bus/i2c/drivers/ina3221/*-004*/hwmon/hwmon*/in[123]_label; do
        value "$label" || continue
        case $value in
            NC | '' | *' '*) continue ;;
        esac
        folder=${label%/*} n=${label##*/in} where=${label#*/ina3221/}
        n=${n%_label}
        rail=$value
        value "$folder/in${n}_input" || continue
        value "$folder/curr${n}_input" || continue
        printf '%s\t%s\t%s\t%s\t-\n' "$rail" "${where%%/*}" "$folder/in${n}_input" "$folder/curr${n}_input"
    done
    for label in "$MB_SYS"/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[012]; do
        value "$label" || continue
        case $value in
            NC | '' | *' '*) continue ;;
        esac
        folder=${label%/*} n=${label##*_} where=${label#*/ina3221x/}
        rail=$value
        value "$folder/in_power${n}_input" || continue
        printf '%s\t%s\t-\t-\t%s\n' "$rail" "${where%%/*}" "$folder/in_power${n}_input"
    done
}

total() { # -> $total_rails, those that add up to what the module takes, and $total_reason
    names=" $(rails | cut -f 1 | tr '\n' ' ') "
    total_rails=
    for rail in VDD_IN POM_5V_IN VIN; do
        case $names in
            *" $rail "*)
                total_rails=$rail total_reason="$rail feeds the whole module"
                return
                ;;
        esac
    done
    case $names in
        *' VDD_GPU_SOC '*)
            for rail in VDD_GPU_SOC VDD_CPU_CV VIN_SYS_5V0; do
                case $names in
                    *" $rail "*) total_rails="${total_rails:+$total_rails }$rail" ;;
                esac
            done
            total_reason='summed rails; this module has none of its whole input'
            ;;
        '  ') total_reason='no INA3221 that can be read' ;;
        *) total_reason='which of these rails add up to the module is not known; they are sampled one by one' ;;
    esac
}

# ---------------------------------------------------------------- power mode, clocks, fan

modes() { # number and name of each, as nvpmodel.conf has them now
    sed -n 's/^< *POWER_MODEL  *ID=\([0-9]*\)  *NAME=\([^ >]*\).*/\1 \2/p' "$MB_ETC/nvpmodel.conf" 2>/dev/null
}

mode() { # -> $mode_id, $mode_name; "NV Power Mode: 15W" and its number below
    said=$(nvpmodel -q </dev/null 2>/dev/null) || said=$(sudo -n nvpmodel -q </dev/null 2>/dev/null) || return 1
    mode_name=$(printf '%s\n' "$said" | sed -n 's/^NV Power Mode: *//p')
    mode_id=$(printf '%s\n' "$said" | sed -n 's/^\([0-9][0-9]*\)$/\1/p')
    number "$mode_id"
}

mode_of() { # NAME -> $wanted, its number
    wanted=$(modes | while read -r id name; do
        case $name in
            "$1" | "MODE_$1") echo "$id" ;;
        esac
    done | head -n 1)
    [ -n "$wanted" ] || refuse "this board has no power mode $1; it has: $(modes | sed 's/^[0-9]* //' | tr '\n' ' ')"
}

plan_power_mode() { # NAME
    mode_of "$1"
    mode || refuse 'nvpmodel -q does not say which power mode this board is in'
    if [ "$wanted" = "$mode_id" ]; then
        printf ':\n:\n'
        return
    fi
    as_root
    # At the end of its input nvpmodel takes "no" where it asks for a reboot.
    echo "${root_do}nvpmodel -m $mode_id </dev/null"
    echo "said=\$(${root_do}nvpmodel -m $wanted </dev/null 2>&1) || { echo \"\$said\" >&2; false; }; case \$said in *[Rr]eboot*|*REBOOT*) echo 'this power mode needs a reboot of the board: sudo nvpmodel -m $wanted there, start it again, then measure' >&2; (exit 76) ;; esac"
}

verify_power_mode() { # NAME
    mode_of "$1"
    mode || return 1
    echo "$mode_name"
    [ "$wanted" = "$mode_id" ]
}

locked() { # whether every processor clock has one speed only
    seen=
    for policy in "$MB_SYS"/devices/system/cpu/cpufreq/policy*; do
        value "$policy/scaling_min_freq" || return 1
        seen=$value
        value "$policy/scaling_max_freq" && [ "$value" = "$seen" ] || return 1
    done
    [ -n "$seen" ]
}

plan_jetson_clocks() { # on or off
    if [ "$1" = off ]; then
        ! locked || refuse 'the clocks were locked before mobench came; sudo jetson_clocks --restore, or a reboot, frees them'
        printf ':\n:\n'
        return
    fi
    if locked; then
        printf ':\n:\n'
        return
    fi
    as_root
    case $MB_ROOT in
        *[!A-Za-z0-9_./-]*) refuse "the folder $MB_ROOT has a name that cannot stand in a command" ;;
    esac
    kept=$MB_ROOT/clocks
    echo "[ ! -f $kept ] || ${root_do}jetson_clocks --restore $kept"
    echo "rm -f $kept && ${root_do}jetson_clocks --store $kept && ${root_do}jetson_clocks"
}

verify_jetson_clocks() { # on or off
    if locked; then echo on; else echo off; fi | grep -x -- "$1" || return 1
}

fan_file() { # -> $fan
    for fan in "$MB_SYS"/devices/pwm-fan/target_pwm "$MB_SYS"/devices/platform/pwm-fan/hwmon/hwmon*/pwm1 "$MB_SYS"/devices/*/pwm-fan/hwmon/hwmon*/pwm1; do
        value "$fan" && return
    done
    refuse 'this board shows no fan'
}

fan_level() { # RATIO -> $level of 255
    level=$(echo "$1" | awk '/^[0-9]*\.?[0-9]+$/ && $1 <= 1 { printf "%d", $1 * 255 + 0.5 }')
    [ -n "$level" ] || refuse "$1 is no part of a fan's full speed"
}

plan_fan() { # RATIO
    fan_file
    before=$value
    fan_level "$1"
    put "$before" "$fan"
    undo=$command
    put "$level" "$fan"
    if systemctl is-active --quiet nvfancontrol 2>/dev/null; then # it would turn the fan back
        as_root
        echo "$undo; ${root_do}systemctl start nvfancontrol"
        echo "${root_do}systemctl stop nvfancontrol && $command"
    else
        printf '%s\n%s\n' "$undo" "$command"
    fi
}

verify_fan() { # RATIO
    fan_file
    now=$value
    fan_level "$1"
    echo "$now of 255"
    [ "$now" = "$level" ]
}

verb=${1-}
case $verb in
    facts | state | heat | channels | sample) "$verb" ;;
    rate) rate && echo "$hz $every $lead_s" ;;
    plan | verify)
        [ $# -eq 3 ] || refuse "$verb needs a condition and a value"
        case $2 in
            governor | power_mode | jetson_clocks | fan) "${verb}_$2" "$3" ;;
            *) refuse "a board has no condition $2" ;;
        esac
        ;;
    *) refuse "say what: facts, state, heat, channels, sample, rate, plan or verify" ;;
esac
