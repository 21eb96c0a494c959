"""The worker against the real library: what it measures, what it reports, how it fails."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mobench_lang.protocol import Event
from mobench_lang.schemas import load
from tests.engine.conftest import EVENT, WORKER, Run, job
from tests.support.gguf_maker import make

CHAT = [{"id": "c", "turns": ["hello there", "and then?", "bye"]}]
END_TOKENS = {1, 3}


def test_a_stamp_for_every_token(run: Run) -> None:
    ran = run(prompt_tokens=16, output_tokens=12, warmup=1, measured=2)
    assert ran.status == 0
    assert [p.warmup for p in ran.all("pass")] == [True, False, False]
    for request in ran.requests():
        assert len(request.stamps) == len(request.tokens) == request.output_tokens == 12
        assert all(a < b for a, b in pairwise(request.stamps))
        assert request.accepted == request.prefill_start < request.prefill_end == request.stamps[0]
        assert (request.prompt_tokens, request.cached_tokens, request.finish) == (16, 0, "length")
    assert ran.all("end")[0].status == "ok"
    assert ran.raw.endswith(b"\n")


def test_windows_lie_inside_their_pass(run: Run) -> None:
    ran = run(prompt_tokens=16, output_tokens=4, depth=8, warmup=1, measured=1)
    windows = {p.pass_: p for p in ran.all("pass")}
    for phase in ran.all("phase"):
        if phase.pass_ >= 0:
            assert windows[phase.pass_].start <= phase.start <= phase.end <= windows[phase.pass_].end
    names = [p.name for p in ran.all("phase")]
    assert names == ["load", "depth", "prefill", "decode", "depth", "prefill", "decode"]


def test_every_line_keeps_the_published_schema(run: Run) -> None:
    ran = run(conversations=CHAT, output_tokens=4, scores=[{"id": "s", "prompt": "the", "continuation": " a"}])
    validator = jsonschema.Draft202012Validator(load("events"))
    for line in ran.raw.splitlines():
        validator.validate(json.loads(line))
    assert {event.e for event in ran.events} == {
        "start", "phase", "memory", "used", "request", "pass", "score", "end",
    }  # fmt: skip


def test_the_same_job_draws_the_same_tokens(run: Run) -> None:
    first, second = (run(prompt_tokens=8, output_tokens=20) for _ in range(2))
    other = run(prompt_tokens=8, output_tokens=20, seed=8)
    assert first.requests(1)[0].tokens == second.requests(1)[0].tokens != other.requests(1)[0].tokens


def test_greedy_text_is_the_same_in_every_process(run: Run) -> None:
    first, second = (run(conversations=CHAT, output_tokens=24) for _ in range(2))
    texts = [r.text for r in first.requests()]
    assert texts == [r.text for r in second.requests()]
    assert [r.tokens for r in first.requests(0)] == [r.tokens for r in first.requests(1)]


def test_end_of_sequence_is_ignored(run: Run) -> None:
    ran = run(conversations=CHAT[:1], output_tokens=200, sampling={"temperature": 3.0}, warmup=0)
    for request in ran.requests():
        assert request.finish == "length"
        assert len(request.stamps) == 200
        assert not END_TOKENS & set(request.tokens)


def test_end_of_sequence_ends_where_it_may(run: Run) -> None:
    chat = [{"id": "c", "turns": ["hello", "again"]}]
    ran = run(
        conversations=chat, output_tokens=900, ignore_eos=False, sampling={"temperature": 5.0}, warmup=0,
        engine={"n_ctx": 2048},
    )  # fmt: skip
    request = ran.requests()[0]
    assert request.finish == "eos"
    assert request.tokens[-1] in END_TOKENS
    assert len(request.stamps) == len(request.tokens) < 900
    assert "<|" not in request.text


def test_no_prompt_starts_from_the_opening_token(run: Run) -> None:
    ran = run(prompt_tokens=0, output_tokens=8, warmup=0)
    (request,) = ran.requests()
    assert request.prompt_tokens == 0
    assert len(request.stamps) == 8
    assert request.prefill_start == request.prefill_end < request.stamps[0]
    assert "prefill" not in [p.name for p in ran.all("phase")]


def test_no_output_measures_the_prefill_alone(run: Run) -> None:
    (request,) = run(prompt_tokens=32, output_tokens=0, warmup=0).requests()
    assert (request.output_tokens, request.stamps, request.finish) == (0, (), "none")
    assert request.prefill_end > request.prefill_start


def test_turns_keep_the_cache(run: Run) -> None:
    first, second, third = run(conversations=CHAT, output_tokens=6, warmup=0).requests()
    assert first.cached_tokens == 0
    # The last token of a reply is seen by the user but not yet by the model: it is evaluated with the next turn.
    assert second.cached_tokens == first.prompt_tokens + 6 - 1
    assert third.cached_tokens == second.cached_tokens + second.prompt_tokens + 6 - 1
    assert (first.turn, second.turn, third.turn) == (0, 1, 2)
    assert {r.conversation for r in (first, second, third)} == {"c"}
    assert first.prompt_chars == len("<|im_start|>user\nhello there<|im_end|>\n<|im_start|>assistant\n")
    assert second.output_chars == len(second.text)


def test_depth_fills_the_context_first(run: Run) -> None:
    ran = run(prompt_tokens=8, output_tokens=4, depth=100, warmup=0)
    assert ran.requests()[0].cached_tokens == 100
    assert ran.all("used")[0].n_ctx >= 112


def test_pauses_are_phases_and_skipped_in_the_warmup(run: Run) -> None:
    chats = [{"id": str(i), "turns": ["a", "b"]} for i in range(2)]
    ran = run(conversations=chats, output_tokens=2, think_ns=30_000_000, between_ns=20_000_000)
    pauses = [p for p in ran.all("phase") if p.name in {"think", "between"}]
    assert [p.name for p in pauses] == ["think", "between", "think"]
    assert all(p.pass_ == 1 for p in pauses)
    assert all(p.end - p.start >= 20_000_000 for p in pauses)


def test_duration_repeats_until_it_has_passed(run: Run) -> None:
    ran = run(prompt_tokens=4, output_tokens=4, duration_ns=200_000_000)
    warm, measured = ran.all("pass")
    assert len(ran.requests(0)) == 1
    assert len(ran.requests(1)) > 1
    assert measured.end - measured.start >= 200_000_000
    assert [r.request for r in ran.requests(1)] == list(range(len(ran.requests(1))))
    assert warm.end - warm.start < 200_000_000


def test_raw_text_goes_as_it_is(run: Run) -> None:
    request = run(conversations=[{"id": "c", "turns": ["the"]}], raw=True, output_tokens=2, warmup=0).requests()[0]
    assert request.prompt_tokens == 2  # the opening token, and one merged token
    assert request.prompt_chars == 3


def test_what_was_used_is_reported(run: Run, tiny: Path) -> None:
    ran = run(
        prompt_tokens=8, output_tokens=2, affinity=[0],
        engine={
            "threads": 2, "threads_batch": 1, "batch": 64, "ubatch": 32, "n_ctx": 512, "flash_attention": "on",
            "type_k": "q8_0", "type_v": "q8_0", "mmap": False, "backend": "cpu", "gpu_layers": 0,
        },
    )  # fmt: skip
    (used,) = ran.all("used")
    import hashlib

    assert used.model_sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert (used.n_threads, used.n_threads_batch, used.n_batch, used.n_ubatch) == (2, 1, 64, 32)
    assert (used.n_ctx, used.n_ctx_train, used.flash_attention) == (512, 1024, "on")
    assert (used.type_k, used.type_v, used.mmap, used.backend) == ("q8_0", "q8_0", False, "cpu")
    assert (used.affinity, used.n_gpu_layers, used.model_type) == ((0,), 0, "F16")
    assert "llama-cpp-python" in used.build
    assert "libraries sha256:" in used.build
    assert used.build == ran.all("start")[0].build


def test_defaults_are_the_librarys_own(run: Run) -> None:
    (used,) = run(prompt_tokens=8, output_tokens=2, engine={"threads": None}).all("used")
    assert used.mmap is True
    assert used.n_ctx == 256  # rounded up by llama.cpp
    assert used.flash_attention in {"on", "off"}
    assert 1 <= used.n_threads <= len(os.sched_getaffinity(0))


def test_memory_is_marked_by_phase(run: Run) -> None:
    ran = run(prompt_tokens=64, output_tokens=4, warmup=0)
    marks = {(m.phase, m.method): m.bytes for m in ran.all("memory")}
    assert {phase for phase, method in marks if method == "VmHWM"} == {"load", "prefill", "decode"}
    assert marks["load", "Pss"] > 0
    assert marks["prefill", "VmHWM"] >= marks["prefill", "VmRSS"] > 1 << 20


def test_scores_follow_the_chain_rule(run: Run) -> None:
    def score(name: str, prompt: str, continuation: str) -> dict[str, str]:
        return {"id": name, "prompt": prompt, "continuation": continuation}

    asked = [score("ab", "x y", "qz"), score("a", "x y", "q"), score("b", "x yq", "z"), score("w", "x ", "q")]
    scores = {s.id: s for s in run(scores=asked).all("score")}
    assert scores["ab"].logprob == pytest.approx(scores["a"].logprob + scores["b"].logprob, abs=1e-2)
    assert scores["ab"].tokens == 2
    assert scores["ab"].logprob < 0
    assert scores["w"].tokens == 2  # the blank belongs to the continuation


def test_scores_sum_to_one_over_the_vocabulary(run: Run) -> None:
    letters = [chr(c) for c in range(33, 127)]
    asked = [{"id": c, "prompt": "x", "continuation": c} for c in letters]
    scores = run(scores=asked).all("score")
    import math

    assert all(s.tokens == 1 for s in scores)
    assert 0 < sum(math.exp(s.logprob) for s in scores) < 1
    assert sum(s.greedy for s in scores) <= 1


# ---------------------------------------------------------------- failures


def fails(run: Run, code: str, *words: str, status: int = 1, **given: Any) -> None:
    ran = run(**({"prompt_tokens": 8, "output_tokens": 2} | given))
    assert ran.status == status
    assert ran.all("end")[0].status == "failed"
    found, message = ran.fault
    assert found == code, message
    for word in words:
        assert word in message


def test_a_missing_model(run: Run) -> None:
    fails(run, "model_missing", "there is no file", model={"path": "/nowhere/model.gguf"})


def test_a_file_that_is_no_model(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "x.gguf"
    other.write_bytes(b"PK\x03\x04" * 100)
    fails(run, "model_not_gguf", "begins with b'PK", model={"path": str(other)})


def test_a_truncated_model(run: Run, tiny: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:-1000])
    fails(run, "model_truncated", "cut off", str(tiny.stat().st_size - 1000), model={"path": str(cut)})


def test_a_changed_model(run: Run, tiny: Path) -> None:
    fails(run, "model_changed", "0" * 64, model={"sha256": "0" * 64})
    fails(run, "model_changed", "5 bytes"[1:], model={"size": 5})


def test_a_model_changed_in_place_is_noticed(run: Run, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    data = bytearray(tiny.read_bytes())
    copy.write_bytes(data)
    old = time.time() - 3600
    os.utime(copy, (old, old))
    sha = run(prompt_tokens=4, output_tokens=1, warmup=0, model={"path": str(copy)}).all("used")[0].model_sha256
    data[-1] ^= 1
    copy.write_bytes(data)
    os.utime(copy, (old, old))  # same size, same mtime; the ctime tells
    fails(run, "model_changed", sha, model={"path": str(copy), "sha256": sha})


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_an_unknown_version(run: Run, version: Any) -> None:
    fails(run, "unknown_version", repr(version), version=version, status=2)


def test_jobs_that_cannot_be_understood(run: Run) -> None:
    fails(run, "bad_job", "surprise", surprise=1, status=2)
    fails(run, "bad_job", "engine.sped", engine={"sped": 1}, status=2)
    fails(run, "bad_job", "unknown parameters turbo", engine={"extra": {"turbo": 1}}, status=2)
    fails(run, "bad_job", "'q9_9'", engine={"type_k": "q9_9"}, status=2)
    fails(run, "bad_job", "either prompt_tokens or conversations", conversations=CHAT, status=2)
    fails(run, "bad_job", "neither a prompt nor an output", prompt_tokens=0, output_tokens=0, status=2)
    fails(run, "bad_job", "output_tokens", output_tokens=-1, status=2)


def test_a_job_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{")
    done = subprocess.run(
        [*WORKER, str(tmp_path / "job.json"), str(tmp_path / "e.jsonl")], check=False, capture_output=True
    )
    assert done.returncode == 2
    events = [EVENT.validate_json(line) for line in (tmp_path / "e.jsonl").read_bytes().splitlines()]
    assert [e.e for e in events] == ["start", "error", "end"]


def test_a_context_that_is_too_small(run: Run) -> None:
    fails(run, "context_too_small", "needs 300 tokens", "n_ctx is 256", prompt_tokens=298, engine={"n_ctx": 256})
    fails(run, "context_too_small", "needs 2002 tokens", "trained for 1024", prompt_tokens=2000)


def test_a_context_beyond_the_trained_one_is_possible_when_asked_for(run: Run) -> None:
    ran = run(prompt_tokens=1100, output_tokens=2, warmup=0, engine={"n_ctx": 1280})
    assert ran.status == 0
    assert ran.all("used")[0].n_ctx == 1280


def test_a_backend_that_the_build_lacks(run: Run) -> None:
    fails(run, "backend_missing", "no sycl device", "cpu", engine={"backend": "sycl"})


def test_a_quantized_value_cache_without_flash_attention(run: Run) -> None:
    fails(run, "context_failed", "flash", engine={"type_v": "q4_0", "flash_attention": "off"})


def test_cpus_that_do_not_exist(run: Run) -> None:
    fails(run, "affinity_failed", "4000", affinity=[4000])


def test_a_chat_without_a_template(run: Run, tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.gguf", template=None)
    given: dict[str, Any] = {"prompt_tokens": None, "conversations": CHAT, "model": {"path": str(plain)}}
    fails(run, "no_chat_template", "raw = true", **given)
    given["model"] |= {"chat_template": "{{ messages[0].content }}{{ nothing.at.all }}"}
    fails(run, "chat_template_failed", "nothing", **given)


def test_too_little_memory(run: Run) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    fails(run, "out_of_memory", limit=small, prompt_tokens=8, engine={"n_ctx": 4_000_000})


def test_a_full_disk_has_its_own_status(run: Run) -> None:
    ran = run(prompt_tokens=8, output_tokens=2, events="/dev/full")
    assert ran.status == 3
    assert "full_disk" in ran.stderr


def test_a_disk_that_fills_up_leaves_whole_lines(run: Run) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    ran = run(prompt_tokens=8, output_tokens=100, limit=small)
    assert ran.status == 3
    assert "full_disk" in ran.stderr
    assert ran.raw.endswith(b"\n")
    assert ran.events[0].e == "start"
    assert 0 < len(ran.raw) <= 3000


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_worker_that_dies_leaves_whole_lines(tmp_path: Path, tiny: Path, how: signal.Signals) -> None:
    (tmp_path / "job.json").write_text(json.dumps(job(tiny, prompt_tokens=4, output_tokens=64, measured=100_000)))
    events = tmp_path / "events.jsonl"
    worker = subprocess.Popen(
        [*WORKER, str(tmp_path / "job.json"), str(events)], stderr=(tmp_path / "stderr").open("wb")
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not events.exists() or events.stat().st_size < 50_000):
        time.sleep(0.01)
    worker.send_signal(how)
    assert worker.wait() == -how
    if how != signal.SIGKILL:
        assert b"worker.py" in (tmp_path / "stderr").read_bytes()  # the trace of where it was
    raw = events.read_bytes()
    assert raw.endswith(b"\n")
    found: list[Event] = [EVENT.validate_json(line) for line in raw.splitlines()]
    assert found[-1].e != "end"
