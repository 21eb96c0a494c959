#!/bin/sh
# study of $(reboot) lines on phone '$(reboot)': what runs on the device. Written by `mobench compile`.
#
#   sh run.sh all            every launch of order.tsv in its order; those that are done are left out
#   sh run.sh launch DIR     one launch: what DIR/job.json says
#   sh run.sh start DIR      the same, detached: it goes on when the connection ends
#   sh run.sh wait DIR       wait for its end without a byte on the line
#   sh run.sh state DIR      how it stands: the lines of DIR/state
#   sh run.sh cancel DIR     end it with everything that it started
#   sh run.sh change UNDO DO write UNDO down, then do DO: a setting that `restore` puts back
#   sh run.sh restore        end what was left running, put changed settings back
#
# A launch folder holds job.json; command.sh (the instrument's command; made from job.json if it is not there); limits.sh
# (likewise); guard.json where the runner watches the launch; after.sh, if something is to be done when it is over, whatever
# ended it; pulse, where a meter outside of the device records it; and afterwards state, events.jsonl, stderr.log,
# samples.jsonl, pulses.jsonl.
#
# MB_ROOT    where launches and the store are           MB_RUNNER  the measuring runner
# MB_EXEC    words before the runner, as an emulator    MB_SYS, MB_PROC  instead of /sys and /proc
# MB_PULSE   not empty: as if every launch had a file pulse
# MB_BOOT_ID the file whose text is another one after each start of the device
#
# For mksh with toybox (Android 6 and later), dash, busybox and bash. No measurement is computed here: numbers of mksh
# have 32 bits. What is read from files is read by the shell itself where it is read more than once.
set -uf
LC_ALL=C
export LC_ALL
umask 022
case $0 in
    */*) here=${0%/*} ;;
    *) here=. ;;
esac
here=$(cd -- "$here" && pwd) || exit 70
self=$here/${0##*/}
: "${MB_ROOT:=${HOME:-/tmp}/.mobench}"
: "${MB_RUNNER:=$here/mobench-runner}" "${MB_EXEC:=}" "${MB_SYS:=/sys}" "${MB_PROC:=/proc}"
export MB_ROOT MB_RUNNER MB_EXEC MB_SYS MB_PROC
timeout_s=601
grace_s=5

die() { # message: what went wrong, for a person
    echo "run.sh: $1" >&2
    exit "${2:-70}"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

nap() { # a moment: a fraction of a second where `sleep` knows fractions
    sleep 0.1 2>/dev/null || sleep 1
}

# ---------------------------------------------------------------- processes

boot_id() { # -> $booted; the same until the device starts again
    booted=
    { read -r booted <"${MB_BOOT_ID:-$MB_PROC/sys/kernel/random/boot_id}"; } 2>/dev/null || booted=
}

born() { # PID -> $ticks, when it began; fails if there is no such process or only its corpse
    ticks=
    stat=
    { read -r stat <"$MB_PROC/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086  # split into its words: state is the first behind the name, the start the 20th
    set -- ${stat##*) }
    [ "${1:-Z}" != Z ] && [ "$1" != X ] || return 1
    ticks=${20:-}
}

uptime_s() { # -> $up, whole seconds
    up=0
    { read -r up rest <"$MB_PROC/uptime"; } 2>/dev/null || up=0
    up=${up%%.*}
}

spent() { # -> $cpu, the CPU time of everything that this shell has waited for: user and system
    cpu=
    times >"$dir/times" 2>/dev/null || return 0 # in this very shell: another one has waited for nothing
    { read -r cpu && read -r cpu; } <"$dir/times" || cpu=
    rm -f "$dir/times"
}

oom_kills() { # -> $ooms, a counter of the kernel
    ooms=0
    {
        while read -r key value; do
            [ "$key" != oom_kill ] || ooms=$value
        done <"$MB_PROC/vmstat"
    } 2>/dev/null
}

bearers() { # -> $found, the processes that carry the launch's token in their environment
    set +f
    found=$(MOBENCH_LAUNCH='' grep -ls -- "MOBENCH_LAUNCH=$token" "$MB_PROC"/[0-9]*/environ 2>/dev/null)
    set -f
}

strike() { # SIGNAL: send it to every bearer of the token; fails if there is none
    bearers
    [ -n "$found" ] || return 1
    for process in $found; do
        process=${process%/environ}
        process=${process##*/}
        [ "$process" = $$ ] || kill "-$1" "$process" 2>/dev/null
    done
}

sweep() { # end whatever the launch started: asked first, made to after the grace
    [ -n "$token" ] || return 0
    [ ! -f "$dir/after.sh" ] || sh "$dir/after.sh" </dev/null >/dev/null 2>&1 9>&-
    strike TERM || return 0
    left=$((grace_s * 10))
    while nap && bearers && [ -n "$found" ] && [ "$left" -gt 0 ]; do left=$((left - 1)); done
    left=50
    while strike KILL && [ "$left" -gt 0 ]; do
        left=$((left - 1))
        nap
    done
}

# ---------------------------------------------------------------- the state of a launch

clear_state() {
    state='' pid='' started='' boot='' token='' reason='' status='' begun='' ended='' ooms_before='' ooms_after='' slept='' cpu='' whole=''
}

load() { # $dir/state -> its variables; fails if there is none or it is torn
    clear_state
    [ -f "$dir/state" ] || return 1
    while IFS='=' read -r key value; do
        case $key in
            state) state=$value ;; pid) pid=$value ;; started) started=$value ;; boot) boot=$value ;;
            token) token=$value ;; reason) reason=$value ;; status) status=$value ;;
            begun) begun=$value ;; ended) ended=$value ;;
            ooms_before) ooms_before=$value ;; ooms_after) ooms_after=$value ;;
            slept) slept=$value ;; cpu) cpu=$value ;; whole) whole=$value ;;
            *) ;;
        esac
    done <"$dir/state"
    [ "$whole" = 1 ]
}

reserve() { # 4 KiB for the last state, should the launch fill the storage
    pad=0123456789abcdef
    pad=$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad
    pad=$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad$pad
    echo "$pad" >"$dir/reserve" && save
}

save_last() { # the end of a launch
    state=over
    rm -f "$dir/reserve"
    save
}

save() { # the variables -> $dir/state, whole or not at all
    {
        echo "state=$state" && echo "pid=$pid" && echo "started=$started" && echo "boot=$boot" && echo "token=$token" &&
            echo "reason=$reason" && echo "status=$status" && echo "begun=$begun" && echo "ended=$ended" &&
            echo "ooms_before=$ooms_before" && echo "ooms_after=$ooms_after" && echo "slept=$slept" && echo "cpu=$cpu" &&
            echo "whole=1"
    } >"$dir/state.part" 2>/dev/null && mv -f "$dir/state.part" "$dir/state"
}

alive() { # whether the launch in the variables still has its shell: the same boot, pid and time of birth
    [ "$state" = running ] || return 1
    boot_id
    [ "$boot" = "$booted" ] && born "$pid" && [ "$ticks" = "$started" ]
}

settle() { # a launch whose shell is gone without a last word is over, too
    [ "$state" = running ] || return 0
    boot_id
    if [ "$boot" != "$booted" ]; then
        reason=rebooted
    else
        [ -n "$reason" ] || reason=killed
        sweep
        oom_kills
        ooms_after=$ooms
    fi
    save_last || return 74
}

# ---------------------------------------------------------------- one launch

make_command() { # command.sh for a folder that has only a job
    before="\${MB_EXEC-}"
    {
        echo '#!/bin/sh'
        echo "# shellcheck disable=SC2086"
        echo "cd -- \"\$MB_HERE\" && exec $before \"\$MB_RUNNER\" \"\$MB_DIR/job.json\" \"\$MB_DIR/events.jsonl\""
    } >"$dir/command.sh"
}

sensor() { # -> $heat_path, $heat_scale: the default temperature sensor; m°C are its number times the scale; $lead_s
    heat_path='' heat_scale=1 lead_s=0
}

make_limits() { # limits.sh and, for the runner, guard.json of a folder that has only a job
    sensor
    {
        echo "timeout_s=601"
        echo "heat_path='$heat_path' heat_scale=$heat_scale heat_above=85000"
    } >"$dir/limits.sh"
    [ -x "$MB_RUNNER" ] || return 0
    {
        echo '{"version": 1, "timeout_ns": 600000000001, "out": "guard.out", "log": "stderr.log",'
        [ -z "$heat_path" ] ||
            echo "\"limits\": [{\"reason\": \"too_hot\", \"path\": \"$heat_path\", \"scale\": $heat_scale, \"above\": 85000}],"
        [ ! -f "$dir/sample.json" ] || echo "\"sample\": \"sample.json\", \"lead_ns\": ${lead_s}000000000,"
        echo '"poll_ns": 1000000000}'
    } >"$dir/guard.json"
}

too_hot() { # whether the sensor reads more than the limit
    [ -n "$heat_path" ] && [ "$heat_above" != 0 ] || return 1
    heat=
    { read -r heat <"$heat_path"; } 2>/dev/null || return 1
    case $heat in
        '' | *[!0-9]*) return 1 ;;
    esac
    [ "$((heat * heat_scale))" -gt "$heat_above" ]
}

watched() { # by the runner: it keeps the limits, samples, and ends the instrument's group
    cd -- "$dir" || return 1
    # shellcheck disable=SC2086  # MB_EXEC is words
    MOBENCH_LAUNCH=$token $MB_EXEC "$MB_RUNNER" --guard guard.json -- sh "$dir/command.sh" </dev/null >/dev/null 2>guard.err 9>&- &
    work=$!
    wait "$work"
    status=$?
    while born "$work"; do
        [ -z "$told" ] || kill -TERM "$work"
        wait "$work"
        status=$?
    done
    [ -z "$told" ] || reason=cancelled
}

clock() { # -> $now, the uptime in ns, as text: this shell may count with 32 bits; $hundredth of a second, from $epoch on
    now=0.00
    { read -r now rest <"$MB_PROC/uptime"; } 2>/dev/null
    part=${now#*.}
    now=${now%%.*}
    hundredth=$(((now - epoch) * 100 + 1$part - 100))
    now=$now${part}0000000
}

own_cpu() { # -> $own, the CPU time of this shell in hundredths of a second
    own=0
    born $$ || return 0
    # shellcheck disable=SC2086  # split into its words
    set -- ${stat##*) }
    own=$((${12:-0} + ${13:-0}))
}

take() { # FILE NOUGHTS [AFTER] -> one more in $values: the first integer there, behind a text, with noughts for its scale
    number=null
    {
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in
                *"${3-}"*) line=${line#*"${3-}"} ;;
                *) continue ;;
            esac
            line=${line#"${line%%[!	 ]*}"}
            sign=${line%%[!-]*}
            line=${line#"$sign"}
            digits=${line%%[!0-9]*}
            rest=${line#"$digits"}
            case $digits/$sign/$rest in
                /* | */--*/* | */*/.*) break ;; # no number, two signs, a fraction
            esac
            case ${3:+behind}/$rest in
                behind/* | / | /[' 	']*) ;;
                *) break ;;
            esac
            digits=${digits#"${digits%%[!0]*}"}
            number=${digits:+$sign$digits$2}
            number=${number:-0}
            break
        done <"$1"
    } 2>/dev/null
    values=$values${values:+,}$number
}

sample() { # once: what sample.sh lists
    [ -n "$channels" ] || return 0
    values=
    clock
    sources
    echo "{\"e\":\"s\",\"t\":$now,\"v\":[$values]}" >>samples.jsonl && rows=$((rows + 1))
}

begin_sampling() {
    channels='' rows=0 epoch=0
    [ -f sample.sh ] || return 0
    # shellcheck disable=SC1091  # of the host: $channels, and the function `sources`, which takes each of them
    . ./sample.sh
    uptime_s
    epoch=$up
    clock
    since=$hundredth
    own_cpu
    own_before=$own
    echo "{\"e\":\"channels\",\"version\":1,\"t\":$now,\"hz\":2,$channels}" >samples.jsonl
}

end_sampling() {
    [ -n "$channels" ] || return 0
    clock
    own_cpu
    own=$((own - own_before))0000000 since=$((hundredth - since))0000000
    [ "${own#0}" = "$own" ] || own=0
    [ "${since#0}" = "$since" ] || since=0
    echo "{\"e\":\"cost\",\"t\":$now,\"cpu_ns\":$own,\"wall_ns\":$since,\"rows\":$rows}" >>samples.jsonl
}

unwatched() { # by this shell, where there is no runner: twice a second
    cd -- "$dir" || return 1
    begin_sampling
    MOBENCH_LAUNCH=$token sh "$dir/command.sh" </dev/null >"$dir/stderr.log" 2>&1 9>&- &
    work=$!
    uptime_s
    last=$((up + timeout_s))
    slept=0 before=$up
    while born "$work"; do
        sample
        if [ -n "$told" ]; then
            reason=cancelled
        elif [ "$up" -ge "$last" ]; then
            reason=timeout
        elif too_hot; then
            reason=too_hot
        fi
        if [ -n "$reason" ]; then
            sweep
            break
        fi
        sleep 0.5 2>/dev/null || sleep 1
        uptime_s
        [ "$((up - before))" -le 3 ] || slept=$((slept + up - before)) # it stood still: suspended, or frozen
        before=$up
    done
    wait "$work"
    status=$?
    end_sampling
}

pulse() { # WHERE: a pattern of load, by which a meter outside of the device is aligned; when it was -> pulses.jsonl
    { [ -f "$dir/pulse" ] || [ -n "${MB_PULSE-}" ]; } && [ -x "$MB_RUNNER" ] && [ -z "$told" ] || return 0
    echo "{\"e\":\"pulses\",\"at\":\"$1\"}" >>"$dir/pulses.jsonl"
    sleep 1
    # Milliseconds of load, tenths of a second of rest. The runner's guard ends each burst and says when it began and ended.
    while read -r burst rest; do
        [ -z "$told" ] || break
        echo "{\"version\": 1, \"timeout_ns\": ${burst}000000, \"grace_ns\": 200000000}" >"$dir/pulse.json"
        # shellcheck disable=SC2086  # MB_EXEC is words
        MOBENCH_LAUNCH=$token $MB_EXEC "$MB_RUNNER" --guard "$dir/pulse.json" -- \
            sh -c 'for i in 1 2 3; do while :; do :; done & done; while :; do :; done' \
            </dev/null >>"$dir/pulses.jsonl" 2>/dev/null 9>&-
        sleep "0.$rest" 2>/dev/null || sleep 1
    done <<END
800 5
500 9
1200 5
700 9
END
}

hold_lock() { # until this shell ends, whatever ends it
    exec 9>"$dir/lock" || return 1
    ! has flock || flock -n 9 9>&9
}

launch() { # everything of one launch
    hold_lock || die "$dir has a launch that is still running"
    ! load || ! alive || die "$dir has a launch that is still running"
    rm -f "$dir/events.jsonl" "$dir/samples.jsonl" "$dir/output.txt" "$dir/stderr.log" "$dir/guard.out" "$dir/guard.err"
    rm -f "$dir/pulses.jsonl"
    [ -f "$dir/command.sh" ] || make_command || die "cannot write in $dir"
    [ -f "$dir/limits.sh" ] || make_limits || die "cannot write in $dir"
    heat_path='' heat_scale=1 heat_above=0
    # shellcheck disable=SC1091  # written above, or by the host
    . "$dir/limits.sh"
    export MB_DIR="$dir" MB_HERE="$here"
    clear_state
    boot_id
    born $$ || die "$MB_PROC does not show this process"
    state=running pid=$$ started=$ticks boot=$booted token=${booted:-boot}.$started.$$
    told=
    trap 'told=1' TERM INT HUP
    uptime_s
    begun=$up
    oom_kills
    ooms_before=$ooms
    reserve || die "cannot write $dir/state; is the storage full?"
    MOBENCH_LAUNCH=$token sh "$self" beat "$dir" </dev/null >/dev/null 2>&1 9>&- &
    pulse before
    if [ -f "$dir/guard.json" ] && [ -x "$MB_RUNNER" ]; then watched; else unwatched; fi
    pulse after
    trap '' TERM INT HUP
    sweep
    oom_kills
    ooms_after=$ooms
    spent
    uptime_s
    ended=$up
    save_last || die "cannot write $dir/state; is the storage full?"
}

beat() { # a sign of life every five seconds, in the same session as the launch
    while load && alive; do
        uptime_s
        echo "$up" >"$dir/beat"
        sleep 5
    done
}

start() { # launch, detached from whatever started it
    ! load || ! alive || die "$dir has a launch that is still running"
    rm -f "$dir/state" "$dir/lock"
    if has setsid; then
        setsid sh "$self" launch "$dir" </dev/null >"$dir/launch.log" 2>&1 &
    else
        nohup sh "$self" launch "$dir" </dev/null >"$dir/launch.log" 2>&1 &
    fi
    left=100
    until load; do
        [ "$left" -gt 0 ] || die "the launch did not start: $(tail -n 1 "$dir/launch.log")"
        [ ! -s "$dir/launch.log" ] || die "$(tail -n 1 "$dir/launch.log")"
        left=$((left - 1))
        sleep 0.02 2>/dev/null || sleep 1
    done
}

wait_for() { # the end of a launch, then its state is settled
    load || die "$dir has no launch" 66
    if alive && has flock && [ -f "$dir/lock" ]; then
        exec 9<"$dir/lock"
        flock -s 9 9<&9
        exec 9<&-
    fi
    while load && alive; do sleep 1; done
    settle # 74: the end could not be written down
}

cancel() { # a launch that may run, may be over, and may have lost its shell
    load && [ "$state" = running ] || return 0
    if alive; then
        kill -TERM "$pid" 2>/dev/null
        left=$((grace_s * 20 + 50))
        while load && alive && [ "$left" -gt 0 ]; do
            left=$((left - 1))
            nap
        done
        ! alive || kill -KILL "$pid" 2>/dev/null
    fi
    load && [ "$state" = running ] || return 0
    reason=cancelled
    settle
}

# ---------------------------------------------------------------- settings, and the way back

change() { # UNDO DO
    case $1 in
        *'
'*) die "an undo command has a line end" ;;
    esac
    mkdir -p "$MB_ROOT" || die "cannot make $MB_ROOT"
    cat >>"$MB_ROOT/changed" <<END || die "cannot write $MB_ROOT/changed; is the storage full?"
$1
END
    fsync "$MB_ROOT/changed" 2>/dev/null || sync
    eval "$2"
}

put_back() { # every undo command, the last change first; those that fail stay written down
    [ -f "$MB_ROOT/changed" ] || return 0
    lines=
    while IFS= read -r line; do
        lines="$line
$lines"
    done <"$MB_ROOT/changed"
    failed=
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        (eval "$line") </dev/null >/dev/null || failed="$line
$failed"
    done <<END
$lines
END
    cat "$MB_PROC/uptime" 2>/dev/null >"$MB_ROOT/put_back" # some gauges need a while to notice
    if [ -z "$failed" ]; then
        rm -f "$MB_ROOT/changed"
        return 0
    fi
    cat >"$MB_ROOT/changed.part" <<END && mv -f "$MB_ROOT/changed.part" "$MB_ROOT/changed"
$failed
END
    die "could not be put back, and will be tried again: $failed" 75
}

restore() {
    set +f
    for folder in "$MB_ROOT/hosted"/*/ "$here/launches"/*/; do
        dir=${folder%/}
        [ ! -f "$dir/state" ] || cancel
    done
    set -f
    rm -rf "$MB_ROOT/hosted" # what a host did not fetch it measures again
    put_back
}

# ---------------------------------------------------------------- the whole plan by hand

prepare() { # set the conditions of the plan; each by `change`
    :
}

tail9() { # NUMBER -> $short, its last nine digits: what 32 bits hold
    case $1 in
        ?????????*) short=${1#"${1%?????????}"} ;;
        *) short=$1 ;;
    esac
    while :; do # a leading zero would make it octal
        case $short in
            0?*) short=${short#0} ;;
            *) break ;;
        esac
    done
}

ticks() { # -> $busy and $total of all cores, the last nine digits; fails where they cannot be read
    line=''
    { read -r line <"$MB_PROC/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086  # split into its words: cpu user nice system idle iowait irq softirq steal
    set -- $line
    [ $# -ge 9 ] || return 1
    busy=0 total=0 field=1
    shift
    while [ "$field" -le 8 ]; do
        case $1 in
            '' | *[!0-9]*) return 1 ;;
        esac
        tail9 "$1"
        total=$(((total + short) % 1000000000))
        case $field in
            1 | 2 | 3 | 6 | 7) busy=$(((busy + short) % 1000000000)) ;;
        esac
        field=$((field + 1))
        shift
    done
}

calm() { # PER_MILLE SECONDS: wait until less than that of all cores is kept busy for a second
    uptime_s
    until_s=$((up + $2))
    while ticks; do
        busy_before=$busy total_before=$total
        sleep 1
        ticks || break
        busy=$((busy - busy_before)) total=$((total - total_before))
        [ "$busy" -ge 0 ] || busy=$((busy + 1000000000))
        [ "$total" -ge 0 ] || total=$((total + 1000000000))
        [ "$total" -eq 0 ] || [ $((busy * 1000)) -ge $(($1 * total)) ] || return 0
        uptime_s
        [ "$up" -lt "$until_s" ] || {
            echo "run.sh: the gate's time was over; others keep the device busier than asked for" >&2
            return 0
        }
    done
    echo "run.sh: how busy the device is cannot be read; the launch is made without waiting" >&2
}

gate() { # the least pause, and what a launch waits for
    sleep 5
    sensor
    if [ -n "$heat_path" ] && [ -x "$MB_RUNNER" ]; then
        echo "{\"version\": 1, \"timeout_ns\": 300000000000, \"limits\": [{\"reason\": \"too_hot\", \"path\": \"$heat_path\", \"scale\": $heat_scale, \"above\": 44999, \"settle_ns\": 1000000000, \"settle_span\": 500}]}" >"$dir/gate.json"
        # shellcheck disable=SC2086  # MB_EXEC is words
        $MB_EXEC "$MB_RUNNER" --gate "$dir/gate.json" >"$dir/gate.out" || echo "run.sh: the gate's time was over; this launch is not as cool as asked for" >&2
    else
        echo "run.sh: no temperature can be read; the launch is made without waiting" >&2
    fi
    calm 250 300
    :
}

all() {
    dir='' rc=0
    trap 'rc=$?; trap - EXIT; [ -z "$dir" ] || cancel; (put_back); exit "$rc"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    prepare || die "a condition cannot be set"
    tab=$(printf '\t')
    number=0
    while IFS=$tab read -r block place line cell rep measured <&3; do
        number=$((number + 1))
        dir=$here/launches/$cell-r$rep
        if load && [ "$state$reason$status" = over0 ]; then continue; fi
        rm -rf "$dir"
        mkdir -p "$dir" || die "cannot make $dir"
        sed -n "${line}p" "$here/jobs.jsonl" >"$dir/job.json"
        echo "launch $number, block $block, place $place: cell $cell, repetition $rep, $measured measured"
        gate
        # A shell of its own, and in it what ends a launch ends nothing here.
        sh "$self" start "$dir" || die "the launch in $dir could not be made"
        # Behind, because a trap waits for what runs in front: the end of a launch that nobody wants any more.
        sh "$self" wait "$dir" &
        wait "$!" || die "the launch in $dir could not be waited for"
        load || die "the launch in $dir left no state"
        [ "$reason$status" = 0 ] || echo "run.sh: failed: ${reason:-exit status $status}; see $dir" >&2
    done 3<"$here/order.tsv"
}

[ $# -gt 0 ] || die "say what: all, launch, start, wait, state, cancel, change or restore" 64
verb=$1
shift
case $verb in
    launch | start | wait | cancel | state | beat)
        [ $# -eq 1 ] || die "$verb needs the folder of a launch" 64
        dir=$(cd -- "$1" 2>/dev/null && pwd) || die "there is no folder $1" 66
        ;;
    change) [ $# -eq 2 ] || die "change needs the command that undoes, and the command that does" 64 ;;
    *) [ $# -eq 0 ] || die "$verb takes no argument" 64 ;;
esac
clear_state
case $verb in
    launch) launch ;;
    start) start ;;
    wait) wait_for ;;
    cancel) cancel ;;
    state) cat "$dir/state" ;;
    beat) beat ;;
    change) change "$1" "$2" ;;
    restore) restore ;;
    all) all ;;
    *) die "there is no $verb: all, launch, start, wait, state, cancel, change or restore" 64 ;;
esac
