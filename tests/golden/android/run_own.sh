# study on phone: what runs on the device. Written by `mobench compile`.
: "${MB_ROOT:=/data/local/tmp/mobench}"
timeout_s=600
    rank=99
    set +f
    for zone in "$MB_SYS"/class/thermal/thermal_zone*; do
        read_zone "$zone" || continue
        [ "$soc" -lt "$rank" ] || continue
        rank=$soc heat_path=$zone/temp heat_scale=$scale
    done
    set -f
    [ -x "$MB_RUNNER" ] && [ -n "${dir-}" ] || return 0
    if [ ! -f "$dir/sample.json" ]; then
        describe >"$dir/sample.json.part" && mv -f "$dir/sample.json.part" "$dir/sample.json"
    fi
    # Three seconds before the instrument tell what the phone draws without it.
    ! grep -q -e ODPM -e 'battery gauge' "$dir/sample.json" || lead_s=3
        echo "timeout_s=600"
        echo "heat_path='$heat_path' heat_scale=$heat_scale heat_above=70000"
        echo '{"version": 1, "timeout_ns": 600000000000, "out": "guard.out", "log": "stderr.log",'
        [ -z "$heat_path" ] ||
            echo "\"limits\": [{\"reason\": \"too_hot\", \"path\": \"$heat_path\", \"scale\": $heat_scale, \"above\": 70000}],"
# What a phone may be asked for its temperatures, rails and battery; the host asks the same (docs/targets/android.md).

first_line() { # FILE -> $value; fails where it cannot be read
    value=
    { read -r value <"$1" || [ -n "$value" ]; } 2>/dev/null
}

read_zone() { # FOLDER -> $kind, $scale that makes m°C, $soc: how likely it is the processor's; fails where it tells none
    first_line "$1/type" && kind=$value && first_line "$1/temp" || return 1
    value=${value#-}
    case $value in
        '' | *[!0-9]* | ???????*) return 1 ;;
    esac
    if [ "$value" -ge 1 ] && [ "$value" -le 130 ]; then
        scale=1000
    elif [ "$value" -ge 131 ] && [ "$value" -le 1300 ]; then
        scale=100
    elif [ "$value" -ge 5000 ] && [ "$value" -le 130000 ]; then
        scale=1
    else
        return 1
    fi
    case $kind in
        [Ss][Oo][Cc]*) soc=0 ;;
        [Aa][Pp]) soc=1 ;;
        [Bb][Ii][Gg]) soc=2 ;;
        [Cc][Pp][Uu]*[Bb][Ii][Gg]*) soc=3 ;;
        [Cc][Pp][Uu][Ss][Ss]*) soc=4 ;;
        [Cc][Pp][Uu][0-9]* | [Cc][Pp][Uu]-[0-9]*) soc=5 ;;
        [Cc][Pp][Uu]*) soc=6 ;;
        [Tt][Ss][Ee][Nn][Ss]_[Tt][Zz]_[Ss][Ee][Nn][Ss][Oo][Rr][0-9]*) soc=7 ;;
        [Mm][Tt][Kk][Tt][Ss][Cc][Pp][Uu]) soc=8 ;;
        *) soc=99 ;;
    esac
}

channel() { # NAME UNIT FILE SOURCE TIER SCALE [AFTER]
    case $* in
        *[\\\"]*) return 0 ;; # no vendor writes these, and here they would end a string
    esac
    echo "$comma{\"name\": \"$1\", \"unit\": \"$2\", \"path\": \"$3\", \"source\": \"$4\", \"tier\": \"$5\", \"scale\": $6${7:+, \"after\": \"$7\"}}"
    comma=,
}

rails() { # power rails: the first eight in every row
    rail=0
    for folder in "$MB_SYS"/bus/iio/devices/iio:device*; do
        file=$folder/energy_value
        first_line "$file" || continue
        # shellcheck disable=SC2094  # only its name is written
        while IFS= read -r row; do
            case $row in
                *'['?*'],'*[0-9]) ;;
                *) continue ;;
            esac
            name=${row#*\[}
            name=${name%%\]*}
            tier=slow
            [ "$rail" -ge 8 ] || tier=fast
            rail=$((rail + 1))
            channel "energy.$name" 'µJ' "$file" "ODPM $name" "$tier" 1 "[$name],"
        done <"$file"
    done
}

supply() { # -> $supply, the folder of the battery's gauge; empty where there is none
    supply=
    for folder in "$MB_SYS"/class/power_supply/battery "$MB_SYS"/class/power_supply/*; do
        first_line "$folder/type" || continue
        [ "$value" = Battery ] || continue
        [ -n "$supply" ] || supply=$folder
        if [ "${folder##*/}" = battery ] || [ -e "$folder/current_now" ]; then
            supply=$folder
            return
        fi
    done
}

gauge() { # what the battery's gauge tells; a current's unit by its magnitude, its sign by the battery's status
    supply
    [ -n "$supply" ] || return 0
    tier=fast
    [ "$rail" -eq 0 ] || tier=slow
    first_line "$supply/status"
    charge=$value
    left=5
    while first_line "$supply/current_now" && [ "$value" = 0 ] && [ "$left" -gt 0 ]; do
        left=$((left - 1))
        sleep 0.3 2>/dev/null || sleep 1
    done
    size=${value#-}
    case $size in
        '' | 0 | *[!0-9]* | ??????????*) size= ;;
    esac
    if [ -n "$size" ]; then
        unit='µA'
        [ "$size" -ge 20000 ] || unit=mA
        case $charge:$value in
            Discharging:-* | Charging:[!-]*) sign=- why="the status $charge" ;;
            Discharging:* | Charging:*) sign='' why="the status $charge" ;;
            *) sign=- why="the kernel's convention; the phone does not tell" ;;
        esac
        [ "$charge" = Discharging ] || why="$why; not sure"
        channel current "$sign$unit" "$supply/current_now" "battery gauge (unit by magnitude, sign by $why)" "$tier" 1
    fi
    ! first_line "$supply/voltage_now" || channel voltage 'µV' "$supply/voltage_now" 'battery gauge' "$tier" 1
    ! first_line "$supply/charge_counter" || channel charge 'µAh' "$supply/charge_counter" 'battery gauge' slow 1
    ! first_line "$supply/temp" || channel battery_temp 'd°C' "$supply/temp" 'battery gauge' slow 1
}

zones() {
    for zone in "$MB_SYS"/class/thermal/thermal_zone*; do
        read_zone "$zone" || continue
        case $zone/temp:$kind in
            "$heat_path":*) name=soc_temp ;;
            *[Ss][Kk][Ii][Nn]*) name=skin_temp ;;
            *) name=temp.$kind ;;
        esac
        channel "$name" 'm°C' "$zone/temp" "thermal zone $kind" slow "$scale"
    done
}

describe() { # what the runner samples, as `exec` would have it
    comma=
    echo '{"version": 1, "out": "samples.jsonl", "hz": 10, "slow_every": 10, "until": "stdin", "channels": ['
    set +f
    rails
    gauge
    zones
    for policy in "$MB_SYS"/devices/system/cpu/cpufreq/policy*; do
        [ ! -e "$policy/related_cpus" ] || channel "cpu_freq.${policy##*/}" kHz "$policy/scaling_cur_freq" cpufreq slow 1
    done
    for name in cpu memory io; do
        ! first_line "$MB_PROC/pressure/$name" ||
            channel "pressure.$name" 'µs' "$MB_PROC/pressure/$name" 'PSI, somebody waited' slow 1 total=
    done
    set -f
    echo ']}'
}

setting() { # SPACE KEY VALUE: one of Android's settings; put back by `restore`
    before=$(settings get "$1" "$2")
    [ "$before" != "$3" ] || return 0
    undo="settings put $1 $2 '$before'"
    [ "$before" != null ] || undo="settings delete $1 $2"
    change "$undo" "settings put $1 $2 '$3'"
    [ "$(settings get "$1" "$2")" = "$3" ]
}

battery() { # FILE -> what the battery's gauge says
    set +f
    for supply in "$MB_SYS"/class/power_supply/battery "$MB_SYS"/class/power_supply/*; do
        if [ -e "$supply/capacity" ] && [ -e "$supply/$1" ]; then
            cat "$supply/$1"
            break
        fi
    done
    set -f
}

hundredths() { # RATIO -> $hundredths, of a ratio such as 0.2 or 1
    hundredths=100
    [ "$1" != 1 ] || return 0
    hundredths=${1#*.}00
    hundredths=${hundredths%"${hundredths#??}"}
    hundredths=${hundredths#0}
}

condition() { # NAME VALUE OPTIONAL: set it, or say that it cannot be
    good=1
    case $1=$2 in
        airplane=on) change 'cmd connectivity airplane-mode disable' 'cmd connectivity airplane-mode enable' || good= ;;
        airplane=off) change 'cmd connectivity airplane-mode enable' 'cmd connectivity airplane-mode disable' || good= ;;
        screen=on)
            setting global stay_on_while_plugged_in 7 || good=
            setting system screen_off_timeout 86400000 || good=
            input keyevent 224 || good=
            ;;
        screen=off)
            for kind in deep light; do # a phone that dozes stops what runs on it
                [ "$(dumpsys deviceidle enabled $kind)" != 0 ] || continue
                change "dumpsys deviceidle enable $kind" "dumpsys deviceidle disable $kind >/dev/null" || good=
                [ "$(dumpsys deviceidle enabled $kind)" != 1 ] || good=
            done
            change 'input keyevent 224' 'input keyevent 223' || good=
            ;;
        brightness=*)
            hundredths "$2"
            setting system screen_brightness_mode 0 || good=
            setting system screen_brightness $(((hundredths * 255 + 50) / 100)) || good=
            ;;
        charger=off)
            change 'setprop power.battery_input.suspended false' 'setprop power.battery_input.suspended true'
            left=24
            while [ "$(battery status)" != Discharging ] && [ "$left" -gt 0 ]; do
                left=$((left - 1))
                sleep 0.5
            done
            [ "$(battery status)" = Discharging ] || good=
            ;;
        charger=on) [ "$(battery status)" != Discharging ] || good= ;;
        battery_floor=*)
            hundredths "$2"
            [ "$(battery capacity)" -ge "$hundredths" ] || good=
            ;;
        fixed_performance=on)
            change 'cmd power set-fixed-performance-mode-enabled false' 'cmd power set-fixed-performance-mode-enabled true' || good=
            ;;
        fixed_performance=off) cmd power set-fixed-performance-mode-enabled false || good= ;;
        low_power=on) change 'cmd power set-mode 0' 'cmd power set-mode 1' || good= ;;
        low_power=off)
            if [ "$(settings get global low_power)" = 1 ]; then change 'cmd power set-mode 1' 'cmd power set-mode 0' || good=; fi
            ;;
        *) good= ;;
    esac
    [ -z "$good" ] || return 0
    echo "run.sh: the condition $1 = $2 cannot be set" >&2
    [ "$3" = 1 ]
}

    condition airplane on 0 || return 1
    condition battery_floor 0.3 0 || return 1
    condition brightness 0.2 0 || return 1
    condition charger off 1 || return 1
    condition fixed_performance on 1 || return 1
    condition low_power off 0 || return 1
    condition screen on 0 || return 1
    sleep 10
    sensor
    if [ -n "$heat_path" ] && [ -x "$MB_RUNNER" ]; then
        echo "{\"version\": 1, \"timeout_ns\": 300000000000, \"limits\": [{\"reason\": \"too_hot\", \"path\": \"$heat_path\", \"scale\": $heat_scale, \"above\": 37999, \"settle_ns\": 1000000000, \"settle_span\": 500}]}" >"$dir/gate.json"
        # shellcheck disable=SC2086  # MB_EXEC is words
        $MB_EXEC "$MB_RUNNER" --gate "$dir/gate.json" >"$dir/gate.out" || echo "run.sh: the gate's time was over; this launch is not as cool as asked for" >&2
    else
        echo "run.sh: no temperature can be read; the launch is made without waiting" >&2
    fi
