# The fake instrument for a phone's shell: as instrument.py, with nothing but builtins of mksh and `sleep`.
# `pace` takes a second for each pass; `hang` and `slow` tell a waiting test through the pipe /data/local/tmp/ready.
job=$(<"$1") events=$2
field() { # NAME -> $REPLY, the first value of that name
    REPLY=${job#*\""$1"\":}
    REPLY=${REPLY#[ ]}
    REPLY=${REPLY#\"}
    REPLY=${REPLY%%[\",\}]*}
}
now() { # -> $t; the phone's uptime counts as its monotonic clock does while it does not sleep
    read -r up rest </proc/uptime
    t=${up%.*}${up#*.}0000000
}
say() { print -r -- "$1" >>"$events" || exit 28; }
ready() { print -r -- "$1 $$" >/data/local/tmp/ready; }

field behave; behave=$REPLY
field job_id; id=$REPLY
[[ $behave != *once* || $id = *a0 ]] || behave=ok
seed=${job##*\"seed\":} seed=${seed#[ ]} seed=${seed%%[,\}]*} # the last one: the engine has one, too
field threads; threads=${REPLY#null}
field warmup; warmup=$REPLY
field measured; passes=$((warmup + REPLY))
model=${job#*\"model\":} sha=${model#*\"sha256\":}
sha=${sha#[ ]} sha=${sha#\"} sha=${sha%%\"*}
now
say "{\"e\":\"start\",\"version\":1,\"t\":$t,\"wall_ns\":${EPOCHREALTIME%.*}000000000,\"pid\":$$,\"job_id\":\"$id\",\"instrument\":\"fake\",\"build\":\"1\"}"
say "{\"e\":\"phase\",\"pass\":-1,\"request\":-1,\"name\":\"load\",\"start\":$t,\"end\":$t}"
case $behave in
    *crash*)
        print -ru2 'about to crash'
        kill -SEGV $$
        ;;
    *hang*)
        ready engine
        while :; do sleep 1; done
        ;;
esac
say "{\"e\":\"used\",\"t\":$t,\"engine\":\"fake\",\"build\":\"1\",\"backend\":\"CPU\",\"devices\":[],\"model_desc\":\"\",\"model_type\":\"\",\"model_params\":1,\"model_size\":1,\"model_sha256\":\"$sha\",\"n_ctx\":1,\"n_ctx_train\":1,\"n_batch\":1,\"n_ubatch\":1,\"n_threads\":${threads:-1},\"n_threads_batch\":1,\"n_gpu_layers\":0,\"flash_attention\":\"off\",\"type_k\":\"f16\",\"type_v\":\"f16\",\"mmap\":true,\"affinity\":[0]}"
n=0
while ((n < passes)); do
    now
    from=$t
    [[ $behave != *pace* ]] || sleep 1
    if [[ $behave = *slow* ]]; then
        ((n)) || ready engine
        sleep 1
    fi
    now
    first=false
    ((n >= warmup)) || first=true
    say "{\"e\":\"request\",\"pass\":$n,\"request\":0,\"accepted\":$from,\"prefill_start\":$from,\"prefill_end\":$from,\"prompt_tokens\":1,\"cached_tokens\":0,\"output_tokens\":1,\"tokens\":[$seed],\"stamps\":[$from],\"conversation\":null,\"turn\":0,\"prompt_chars\":null,\"output_chars\":null,\"text\":null,\"finish\":\"length\"}"
    say "{\"e\":\"pass\",\"pass\":$n,\"warmup\":$first,\"start\":$from,\"end\":$t,\"cpu_ns\":1}"
    n=$((n + 1))
done
say "{\"e\":\"end\",\"t\":$t,\"status\":\"ok\"}"
