"""The fake instrument: speaks events.jsonl and does what `engine.extra.behave` says (words joined by +)."""

import json
import os
import signal
import sys
import time
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text())
events = Path(sys.argv[2]).open("w")  # noqa: SIM115 - open to the end, however it comes
behave = job["engine"]["extra"].get("behave", "ok").split("+")
last = job["job_id"].rsplit("a", 1)[-1]
attempt = int(last) if last.isdigit() else 0  # a job of a build folder has none
if "once" in behave and attempt > 0:
    behave = ["ok"]


def say(**event):
    events.write(json.dumps(event) + "\n")
    events.flush()


def now():
    return time.monotonic_ns()


def ready(who):
    """Tell a waiting test that the launch is under way, and in which process: through the pipe FAKE_READY."""
    if "FAKE_READY" in os.environ:
        pipe = os.open(os.environ["FAKE_READY"], os.O_WRONLY)
        os.write(pipe, f"{who} {os.getpid()}\n".encode())
        os.close(pipe)


def forever():
    while True:
        time.sleep(3600)


say(
    e="start",
    version=1,
    t=now(),
    wall_ns=time.time_ns(),
    pid=os.getpid(),
    job_id=job["job_id"],
    instrument="fake",
    build="1",
)
if "sabotage" in behave:
    # The sampler is the other child of the host that carries this launch's token.
    mark = ("MOBENCH_LAUNCH=" + os.environ["MOBENCH_LAUNCH"]).encode()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue
if "noisy" in behave:
    for number in range(40000):
        print(f"{number:07d} " + "x" * 72)
    print("the last line")
if "stubborn" in behave:
    signal.signal(signal.SIGTERM, lambda *_: ready("deaf"))
if "child" in behave and os.fork() == 0:
    os.setpgid(0, 0)  # out of reach of a group's signal
    ready("child")
    forever()
if "tree" in behave and os.fork() == 0:
    ready("child")
    forever()
if "bad_alloc" in behave:
    print("terminate called after throwing an instance of 'std::bad_alloc'", file=sys.stderr)
    os.abort()
if "oom_killed" in behave:
    vmstat = Path(os.environ["FAKE_VMSTAT"])
    vmstat.write_text("nr_free_pages 1\noom_kill 8\n")
    os.kill(os.getpid(), signal.SIGKILL)
if "oom_error" in behave:
    say(e="error", t=now(), code="out_of_memory", message="cannot allocate the context")
    say(e="end", t=now(), status="failed")
    sys.exit(3)
if "not_gguf" in behave:
    say(e="error", t=now(), code="model_not_gguf", message="this is not a GGUF file")
    say(e="end", t=now(), status="failed")
    sys.exit(3)
if "mute" in behave:
    print("usage: nobody knows", file=sys.stderr)
    sys.exit(7)
t = now()
say(e="phase", **{"pass": -1}, request=-1, name="load", start=t, end=now())
if "crash" in behave:
    print("about to crash", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGSEGV)
if "hang" in behave or "stubborn" in behave:
    ready("engine")
    forever()
used = {
    "engine": "fake",
    "build": "1",
    "backend": "CPU",
    "devices": [],
    "model_desc": "",
    "model_type": "",
    "model_params": 1,
    "model_size": 1,
    "model_sha256": "0" * 64 if "wrong_weights" in behave else job["model"]["sha256"],
    "n_ctx": 1,
    "n_ctx_train": 1,
    "n_batch": 1,
    "n_ubatch": 1,
    "n_threads": 3 if "wrong_threads" in behave else job["engine"]["threads"] or 1,
    "n_threads_batch": 1,
    "n_gpu_layers": 0,
    "flash_attention": "off",
    "type_k": "f16",
    "type_v": "f16",
    "mmap": True,
    "affinity": [99] if "wrong_affinity" in behave else sorted(os.sched_getaffinity(0)),
}
say(e="used", t=now(), **used)
passes = job["warmup"] + job["measured"] - (1 if "short" in behave else 0)
for number in range(passes):
    t = now()
    if "slow" in behave:
        time.sleep(0.3)
    if "burn" in behave:
        while now() - t < 300_000_000:
            pass
    if "phases" in behave:
        time.sleep(0.4)
        middle = now()
        time.sleep(0.8)
        for name, start, end in (("prefill", t, middle), ("decode", middle, now())):
            say(e="phase", **{"pass": number}, request=0, name=name, start=start, end=end)
        time.sleep(0.1)  # a reading behind the window
    tokens = {"prompt_tokens": 1, "cached_tokens": 0, "output_tokens": 1, "tokens": [job["seed"]], "stamps": [t + 1]}
    texts = {"conversation": None, "turn": 0, "prompt_chars": None, "output_chars": None, "text": None}
    times = {"accepted": t, "prefill_start": t, "prefill_end": t + 1}
    say(e="request", **{"pass": number}, request=0, **times, **tokens, **texts, finish="length")
    say(e="pass", **{"pass": number}, warmup=number < job["warmup"], start=t, end=now(), cpu_ns=1)
if "no_end" not in behave:
    say(e="end", t=now(), status="ok")
