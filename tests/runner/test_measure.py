"""The runner against the worker: the same job gives the same events; what cannot be done ends with a code."""

from __future__ import annotations

import hashlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mobench_lang.engines.llama_cpp import rendering
from mobench_lang.protocol import Event, Job
from mobench_lang.schemas import load
from tests.runner.conftest import without_capabilities
from tests.support.gguf_maker import TEMPLATE, make
from tests.support.runner_program import SANITIZE, compile_runner

WORKER = [sys.executable, "-m", "mobench_lang.engines.llama_cpp.worker"]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
CHAT = [{"id": 'c "1"\n', "turns": ["hello there", "and then? ünïcode ✓", "bye"]}, {"id": "d", "turns": ["again"]}]
REWRITING = TEMPLATE.replace("{{ message.content }}", "{{ message.content | trim }}").replace(
    "{% for", "{{ messages | length }}{% for", 1
)
CLOCKS = {
    "t",
    "wall_ns",
    "pid",
    "start",
    "end",
    "accepted",
    "prefill_start",
    "prefill_end",
    "stamps",
    "cpu_ns",
    "bytes",
}
INSTRUMENTS = {"instrument", "build"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner under AddressSanitizer and UBSan: whatever it does wrong ends it with a trace."""
    return compile_runner(tmp_path_factory.mktemp("runner"), *SANITIZE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner without sanitizers, where limits of memory are set."""
    return compile_runner(tmp_path_factory.mktemp("plain"))


def job(weights: Path, **given: Any) -> dict[str, Any]:
    top: dict[str, Any] = {"version": 1, "job_id": "test", "model": {"path": str(weights)}, "seed": 7}
    for key in ("version", "job_id", "seed", "warmup", "measured", "affinity", "keep_text", "scores", "surprise"):
        if key in given:
            top[key] = given.pop(key)
    top["model"] |= given.pop("model", {})
    top["engine"] = {"name": "llama_cpp", "threads": 1} | given.pop("engine", {})
    if given:
        top["workload"] = given
    return top


def rendered(asked: dict[str, Any]) -> dict[str, Any]:
    """The job as the host completes it for a device."""
    done: dict[str, Any] = rendering.rendered(Job.model_validate(asked), Path(asked["model"]["path"])).model_dump(
        mode="json"
    )
    return done


def launch(
    argv: list[str], folder: Path, asked: object, *, events: str | None = None, limit: Callable[[], None] | None = None
) -> tuple[int, list[dict[str, Any]], str]:
    path, where = folder / "job.json", folder / "events.jsonl"
    where.unlink(missing_ok=True)
    path.write_bytes(asked if isinstance(asked, bytes) else json.dumps(asked).encode())
    done = subprocess.run(
        [*argv, str(path), events or str(where)], check=False, capture_output=True, timeout=120, preexec_fn=limit,
        env=os.environ | {"MOBENCH_CACHE": str(folder / "cache")},
    )  # fmt: skip
    raw = where.read_bytes() if where.exists() else b""
    assert not raw or raw.endswith(b"\n")
    validator = jsonschema.Draft202012Validator(load("events"))
    lines = [json.loads(line) for line in raw.splitlines()]
    for line in lines:
        validator.validate(line)
        EVENT.validate_python(line)
    stderr = done.stderr.decode("utf-8", "replace")
    assert "Sanitizer" not in stderr and "runtime error" not in stderr, stderr
    return done.returncode, lines, stderr


def without_clocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What both instruments must agree on: everything but times, memory, and who they are."""
    return [{k: v for k, v in e.items() if k not in CLOCKS | INSTRUMENTS and k != "logprob"} for e in events]


PARITY: dict[str, dict[str, Any]] = {
    "random": {"prompt_tokens": 40, "output_tokens": 12, "measured": 2},
    "batches": {"prompt_tokens": 100, "output_tokens": 3, "engine": {"batch": 32, "ubatch": 16}},
    "no_prompt": {"prompt_tokens": 0, "output_tokens": 8},
    "no_output": {"prompt_tokens": 32, "output_tokens": 0},
    "depth": {"prompt_tokens": 8, "output_tokens": 4, "depth": 100},
    "chat": {"conversations": CHAT, "output_tokens": 24},
    "chat_prefill": {"conversations": CHAT[1:], "output_tokens": 0},
    "chat_depth": {"conversations": CHAT, "output_tokens": 5, "depth": 30, "keep_text": False},
    "rewriting": {"conversations": CHAT, "output_tokens": 12, "model": {"chat_template": REWRITING}},
    "rewriting_depth": {"conversations": CHAT, "output_tokens": 9, "depth": 20, "model": {"chat_template": REWRITING}},
    "raw": {"conversations": [{"id": "r", "turns": ["the", " other"]}], "raw": True, "output_tokens": 4},
    "sampled": {
        "conversations": CHAT, "output_tokens": 200, "sampling": {"temperature": 3.0, "top_k": 90, "top_p": 0.97},
    },
    "eos": {
        "conversations": CHAT[1:], "output_tokens": 900, "ignore_eos": False, "sampling": {"temperature": 5.0},
        "engine": {"n_ctx": 2048},
    },
    "cores": {"prompt_tokens": 4, "output_tokens": 1, "engine": {"threads": None}},
    "pauses": {"conversations": CHAT, "output_tokens": 2, "think_ns": 3_000_000, "between_ns": 2_000_000},
    "engine": {
        "prompt_tokens": 8, "output_tokens": 2, "affinity": [0],
        "engine": {
            "threads": 2, "threads_batch": 1, "batch": 64, "ubatch": 32, "n_ctx": 512, "flash_attention": "on",
            "type_k": "q8_0", "type_v": "q8_0", "mmap": False, "backend": "cpu", "gpu_layers": 0, "seed": 11,
        },
    },
    "scores": {
        "scores": [
            {"id": str(i), "prompt": p, "continuation": c}
            for i, (p, c) in enumerate(
                [
                    ("x y", "qz"), ("x y", "q"), ("x yq", "z"), ("x ", "q"), ("x\u3000\u00a0", "ü"), ("x\x1f", "y"),
                    ("", "the"),
                ]
            )
        ],
        "engine": {"batch": 4, "ubatch": 4},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PARITY)
def test_the_same_job_gives_what_the_worker_gives(name: str, runner: Path, tiny: Path, tmp_path: Path) -> None:
    asked = job(tiny, **PARITY[name])
    theirs = launch(WORKER, tmp_path, asked)
    ours = launch([str(runner)], tmp_path, rendered(asked))
    assert ours[0] == theirs[0] == 0, ours[2]
    assert without_clocks(ours[1]) == without_clocks(theirs[1])
    used = next(e for e in ours[1] if e["e"] == "used")
    assert used["buffers"].keys() >= {"CPU output", "CPU compute"} and used["buffers"]["CPU KV"] > 0
    for mine, other in zip(ours[1], theirs[1], strict=True):
        if mine["e"] == "score":
            assert math.isclose(mine["logprob"], other["logprob"], abs_tol=1e-3)
        if mine["e"] == "request":
            assert len(mine["stamps"]) == len(mine["tokens"])
            assert [mine["accepted"], mine["prefill_start"], mine["prefill_end"], *mine["stamps"]] == sorted(
                [mine["accepted"], mine["prefill_start"], mine["prefill_end"], *mine["stamps"]]
            )


def test_duration_repeats_until_it_has_passed(runner: Path, tiny: Path, tmp_path: Path) -> None:
    status, events, _ = launch(
        [str(runner)], tmp_path, job(tiny, prompt_tokens=4, output_tokens=4, duration_ns=300_000_000)
    )
    assert status == 0
    warm, measured = (e for e in events if e["e"] == "pass")
    assert measured["end"] - measured["start"] >= 300_000_000
    numbers = [e["request"] for e in events if e["e"] == "request" and e["pass"] == 1]
    assert numbers == list(range(len(numbers))) and len(numbers) > 1
    assert sum(e["e"] == "request" and e["pass"] == 0 for e in events) == 1
    assert warm["warmup"] and not measured["warmup"]


# ---------------------------------------------------------------- what cannot be done


def fails(program: Path | list[str], folder: Path, asked: object, code: str, *, status: int = 1, **how: Any) -> str:
    argv = [str(program)] if isinstance(program, Path) else program
    found, events, stderr = launch(argv, folder, asked, **how)
    assert found == status, stderr
    assert events[0]["e"] == "start"
    assert [e["code"] for e in events if e["e"] == "error"] == [code], events
    assert events[-1] == {"e": "end", "t": events[-1]["t"], "status": "failed"}
    return str(next(e["message"] for e in events if e["e"] == "error"))


WORK: dict[str, Any] = {"prompt_tokens": 8, "output_tokens": 2}
BAD: dict[str, tuple[str, int, dict[str, Any]]] = {
    "no_model": ("model_missing", 1, WORK | {"model": {"path": "/nowhere/$(reboot).gguf"}}),
    "folder": ("model_missing", 1, WORK | {"model": {"path": "/tmp"}}),
    "sha256": ("model_changed", 1, WORK | {"model": {"sha256": "0" * 64}}),
    "size": ("model_changed", 1, WORK | {"model": {"size": 5}}),
    "version": ("unknown_version", 2, WORK | {"version": 2}),
    "version_text": ("unknown_version", 2, WORK | {"version": "1"}),
    "version_null": ("unknown_version", 2, WORK | {"version": None}),
    "field": ("bad_job", 2, WORK | {"surprise": 1}),
    "engine_field": ("bad_job", 2, WORK | {"engine": {"sped": 1}}),
    "extra": ("bad_job", 2, WORK | {"engine": {"extra": {"x": 1}}}),
    "engine_name": ("bad_job", 2, WORK | {"engine": {"name": "other"}}),
    "no_threads": ("bad_job", 2, WORK | {"engine": {"threads": 0}}),
    "no_batch": ("bad_job", 2, WORK | {"engine": {"batch": 0}}),
    "no_context": ("bad_job", 2, WORK | {"engine": {"n_ctx": 0}}),
    "huge_seed": ("bad_job", 2, WORK | {"seed": 1 << 63}),
    "null_seed": ("bad_job", 2, WORK | {"seed": None}),
    "null_depth": ("bad_job", 2, WORK | {"depth": None}),
    "null_warmup": ("bad_job", 2, WORK | {"warmup": None}),
    "less_than_no_warmup": ("bad_job", 2, WORK | {"warmup": -1}),
    "less_than_no_pause": ("bad_job", 2, WORK | {"think_ns": -1}),
    "huge_top_k": ("bad_job", 2, WORK | {"sampling": {"top_k": 1 << 31}}),
    "template": ("bad_job", 2, WORK | {"model": {"chat_template": 5}}),
    "nul": ("bad_job", 2, {"conversations": [{"id": "x", "turns": ["a\0b"]}], "raw": True, "output_tokens": 1}),
    "threads": ("bad_job", 2, WORK | {"engine": {"threads": "2"}}),
    "kv_type": ("bad_job", 2, WORK | {"engine": {"type_k": "q9"}}),
    "nothing": ("bad_job", 2, {}),
    "both": ("bad_job", 2, WORK | {"conversations": CHAT}),
    "negative": ("bad_job", 2, WORK | {"depth": -1}),
    "no_turns": ("bad_job", 2, {"conversations": [{"id": "x", "turns": []}], "output_tokens": 1}),
    "not_rendered": ("no_chat_template", 1, {"conversations": CHAT, "output_tokens": 1}),
    "rendered_short": (
        "bad_job", 2, {"conversations": [{"id": "x", "turns": ["a", "b"], "rendered": ["a"]}], "output_tokens": 1},
    ),
    "backend": ("backend_missing", 1, WORK | {"engine": {"backend": "sycl"}}),
    "flash": ("context_failed", 1, WORK | {"engine": {"type_v": "q4_0", "flash_attention": "off"}}),
    "n_ctx": ("context_too_small", 1, WORK | {"engine": {"n_ctx": 4}}),
    "trained": ("context_too_small", 1, {"prompt_tokens": 8, "output_tokens": 5000}),
    "cpus": ("affinity_failed", 1, WORK | {"affinity": [1000]}),
    "cpus_beyond": ("affinity_failed", 1, WORK | {"affinity": [4000]}),
    "empty_score": ("bad_job", 2, {"scores": [{"id": "s", "prompt": "x", "continuation": ""}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_done_has_a_code(name: str, runner: Path, tiny: Path, tmp_path: Path) -> None:
    """The same one from both instruments."""
    code, status, given = BAD[name]
    fails(runner, tmp_path, job(tiny, **given), code, status=status)
    if name not in RUNNER_ALONE:
        fails(WORKER, tmp_path, job(tiny, **given), code, status=status)


RUNNER_ALONE = {"not_rendered"}
"""The worker renders conversations itself."""


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"\xff\xfe", b'{"version":1,"job_id":"\x80"}', b"nul\0", b"[" * 100_000,
        b"{" + b",".join(b'"a%d":0' % n for n in range(500_000)) + b"}",
    ],
)  # fmt: skip
def test_jobs_that_are_none(text: bytes, runner: Path, tmp_path: Path) -> None:
    status, events, _ = launch([str(runner)], tmp_path, text)
    assert status == 2
    assert events[-1]["status"] == "failed"


def test_text_that_is_no_utf_8_is_refused(runner: Path, tiny: Path, tmp_path: Path) -> None:
    asked = json.dumps(job(tiny, scores=[{"id": "s", "prompt": "@", "continuation": "y"}])).encode()
    fails(runner, tmp_path, asked.replace(b"@", b"\xe2\x82"), "bad_job", status=2)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("cut", "model_truncated"),
        ("head", "model_truncated"),
        ("zip", "model_not_gguf"),
        ("empty", "model_not_gguf"),
        ("v9", "model_version"),
        ("v65539", "model_version"),
        ("counts", "model_not_gguf"),
    ],
)
def test_files_that_are_no_models(how: str, code: str, runner: Path, tiny: Path, tmp_path: Path) -> None:
    data = tiny.read_bytes()
    bad = tmp_path / 'it\'s "bad"\n.gguf'
    bad.write_bytes(
        {
            "cut": data[:-1000],
            "head": data[:300],
            "zip": b"PK\x03\x04" * 99,
            "empty": b"",
            "v9": b"GGUF\x09\0\0\0" + data[8:],
            "v65539": b"GGUF\x03\0\x01\0" + data[8:],
            "counts": data[:8] + b"\xff" * 8 + data[16:],
        }[how]
    )
    assert "bad" in fails(runner, tmp_path, job(bad, **WORK), code)
    fails(WORKER, tmp_path, job(bad, **WORK), code)


@pytest.mark.parametrize("rest", [0, 1, 55, 56, 63])
def test_the_digest_of_files_of_any_size(rest: int, runner: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    data = tiny.read_bytes()
    data += bytes((rest - len(data)) % 64)
    copy.write_bytes(data)
    status, _, stderr = launch(
        [str(runner)], tmp_path, job(copy, **WORK, model={"sha256": hashlib.sha256(data).hexdigest()})
    )
    assert status == 0, stderr


def test_a_model_changed_in_place_is_noticed(runner: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    data = bytearray(tiny.read_bytes())
    copy.write_bytes(data)
    _, events, _ = launch([str(runner)], tmp_path, job(copy, **WORK))
    sha = next(e["model_sha256"] for e in events if e["e"] == "used")
    data[-1] ^= 1
    before = copy.stat()
    copy.write_bytes(data)
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same mtime; the ctime tells
    assert sha in fails(runner, tmp_path, job(copy, **WORK, model={"sha256": sha}), "model_changed")


def test_a_kept_digest_that_is_none_is_not_believed(runner: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny.read_bytes())
    users = tmp_path / "copy.gguf.sha256"
    users.write_text("0123  copy.gguf\n")
    launch([str(runner)], tmp_path, job(copy, **WORK))
    assert users.read_text() == "0123  copy.gguf\n"
    kept = tmp_path / "copy.gguf.mobench-sha256"
    kept.write_text('"' * 64 + kept.read_text()[64:])
    status, events, _ = launch([str(runner)], tmp_path, job(copy, **WORK))
    assert status == 0
    assert '"' not in next(e["model_sha256"] for e in events if e["e"] == "used")


def test_too_little_memory(plain: Path, tiny: Path, tmp_path: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    fails(plain, tmp_path, job(tiny, **WORK, engine={"n_ctx": 4_000_000}), "out_of_memory", limit=small)


def test_a_full_disk_has_its_own_status(runner: Path, tiny: Path, tmp_path: Path) -> None:
    status, _, stderr = launch([str(runner)], tmp_path, job(tiny, **WORK), events="/dev/full")
    assert status == 3
    assert "full_disk" in stderr


@pytest.mark.parametrize("room", [0, 100, 700, 3000])
def test_a_disk_that_fills_up_leaves_whole_lines(room: int, plain: Path, tiny: Path, tmp_path: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    asked = job(tiny, prompt_tokens=8, output_tokens=100)
    (tmp_path / "warm").mkdir()
    status, events, stderr = launch([str(plain)], tmp_path, asked, limit=small)
    assert status == 3
    assert "full_disk" in stderr
    assert (tmp_path / "events.jsonl").stat().st_size <= room
    assert not events or events[0]["e"] == "start"
    if room == 3000:  # the request's line is what does not fit
        assert [(e["code"], e["message"]) for e in events if e["e"] == "error"] == [
            ("full_disk", "the events cannot be written: File too large")
        ]
        assert events[-1]["status"] == "failed"


def test_weights_that_may_not_be_read(plain: Path, tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny.read_bytes())
    copy.chmod(0)
    said = fails(plain, tmp_path, job(copy, **WORK), "model_missing", limit=without_capabilities)
    assert "Permission denied" in said


def test_a_word_that_it_does_not_know_destroys_no_file(plain: Path, tmp_path: Path) -> None:
    description = tmp_path / "sample.json"
    description.write_text("{}")
    done = subprocess.run([plain, "--smaple", description], check=False, capture_output=True, text=True)
    assert (done.returncode, description.read_text()) == (2, "{}")
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_runner_that_is_ended_leaves_whole_lines(
    how: signal.Signals, plain: Path, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "job.json").write_text(json.dumps(job(tiny, prompt_tokens=4, output_tokens=64, measured=100_000)))
    events = tmp_path / "events.jsonl"
    process = subprocess.Popen(
        [str(plain), str(tmp_path / "job.json"), str(events)], stderr=(tmp_path / "stderr").open("wb")
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not events.exists() or events.stat().st_size < 50_000):
        time.sleep(0.01)
    process.send_signal(how)
    status = process.wait(timeout=60)
    raw = events.read_bytes()
    assert raw.endswith(b"\n")
    lines = [json.loads(line) for line in raw.splitlines()]
    if how == signal.SIGKILL:
        assert status == -how and lines[-1]["e"] != "end"
    else:
        assert status == 1
        assert (lines[-2]["code"], lines[-1]["status"]) == ("cancelled", "failed")


# ---------------------------------------------------------------- jobs by chance

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_job_with_a_wrong_value_ends_in_order(data: st.DataObject, runner: Path, tmp_path: Path) -> None:
    """Any field replaced by anything: an error with a code, never a crash, and every line parses."""
    asked: Any = job(Path("/nowhere"), conversations=[{"id": "c", "turns": ["a"], "rendered": ["a"]}], output_tokens=1)
    asked["scores"] = [{"id": "s", "prompt": "a", "continuation": "b"}]
    part = asked
    while True:
        key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else list(range(len(part)))))
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    part[key] = data.draw(VALUES)
    status, events, _ = launch([str(runner)], tmp_path, asked)
    assert status in {1, 2}
    assert sum(e["e"] == "error" for e in events) == 1
    assert events[-1]["e"] == "end"
