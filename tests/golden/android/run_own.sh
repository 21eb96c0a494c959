# study on phone: what runs on the device. Written by `mobench compile`.
: "${MB_ROOT:=/data/local/tmp/mobench}"
timeout_s=600
    set +f
    for wanted in soc ap big cpu; do
        for folder in "$MB_SYS"/class/thermal/thermal_zone*; do
            name='' heat=''
            { read -r name <"$folder/type"; } 2>/dev/null || continue
            { read -r heat <"$folder/temp"; } 2>/dev/null || continue
            case $wanted=$name in
                soc=soc* | soc=SOC* | ap=AP | ap=ap | big=BIG | big=big | cpu=cpu* | cpu=CPU*)
                    heat_path=$folder/temp
                    # most vendors count m°C, some °C or tenths of them
                    if [ "$heat" -le 130 ]; then heat_scale=1000; elif [ "$heat" -le 1300 ]; then heat_scale=100; fi
                    break 2
                    ;;
            esac
        done
    done
    set -f
        echo "timeout_s=600"
        echo "heat_path='$heat_path' heat_scale=$heat_scale heat_above=70000"
        echo '{"version": 1, "timeout_ns": 600000000000, "out": "guard.out", "log": "stderr.log",'
        [ -z "$heat_path" ] ||
            echo "\"limits\": [{\"reason\": \"too_hot\", \"path\": \"$heat_path\", \"scale\": $heat_scale, \"above\": 70000}],"
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
