"""How `llama-bench` is called for a job, and what its rows say as events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mobench_lang.engines.llama_cpp.llama_bench.rows import parse
from mobench_lang.engines.llama_cpp.llama_bench.tool import LlamaBench, events, told
from mobench_lang.plugins import Outcome, PlatformError, RefusedError
from mobench_lang.protocol import Conversation, Job, JobEngine, JobModel, JobWorkload, Told
from tests.engine.test_llama_bench_rows import SETS, as_json, row

STOCK = LlamaBench("/opt/llama-bench", ("-lm", "none"))
OK = Outcome("ok", exited=9, exit=0)
SAMPLES = [2_000_000_000, 1_000_000_000]


def job(*, engine: dict[str, Any] | None = None, warmup: int = 1, **workload: Any) -> Job:
    work = {"prompt_tokens": 512, "output_tokens": 0, **workload}
    return Job(
        job_id="run/cell/r0a0", model=JobModel(path="/m/a b.gguf"),
        engine=JobEngine(name="llama_cpp", **(engine or {})), workload=JobWorkload(**work), warmup=warmup,
    )  # fmt: skip


def command(asked: Job) -> list[str]:
    return list(STOCK.launch("linux-arm64", asked).argv)


def test_a_plain_job_needs_only_what_every_version_has() -> None:
    assert command(job()) == [
        "/opt/llama-bench", "-m", "/m/a b.gguf", "-o", "json", "-r", "2", "-p", "512", "-n", "0", "-lm", "none",
    ]  # fmt: skip


def test_everything_that_can_be_asked_for() -> None:
    asked = job(
        engine={
            "threads": 4, "batch": 256, "ubatch": 64, "gpu_layers": 12, "flash_attention": "on", "type_k": "q8_0",
            "type_v": "q8_0",
        },
        prompt_tokens=0, output_tokens=128, depth=1024, warmup=0,
    )  # fmt: skip
    assert command(asked)[5:-2] == [
        "-r", "1", "-p", "0", "-n", "128", "-d", "1024", "--no-warmup", "-t", "4", "-b", "256", "-ub", "64", "-ngl",
        "12", "-fa", "1", "-ctk", "q8_0", "-ctv", "q8_0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "option"), [({"gpu_layers": -1}, ["-ngl", "999"]), ({"flash_attention": "auto"}, ["-fa", "auto"])]
)
def test_words_that_versions_read_alike(engine: dict[str, Any], option: list[str]) -> None:
    assert command(job(engine=engine))[-4:-2] == option


@pytest.mark.parametrize(
    "asked",
    [
        job(prompt_tokens=512, output_tokens=8),
        job(prompt_tokens=None, conversations=(Conversation(id="a", turns=("hello",)),), output_tokens=8),
        job(duration_ns=1),
        job(think_ns=1),
        job().model_copy(update={"affinity": (0, 1)}),
        *(
            job(engine=e)
            for e in ({"backend": "cpu"}, {"threads_batch": 2}, {"n_ctx": 512}, {"mmap": True}, {"seed": 1})
        ),
    ],
)
def test_what_it_cannot_do_is_refused(asked: Job) -> None:
    with pytest.raises(RefusedError) as raised:
        STOCK.launch("linux-arm64", asked)
    assert raised.value.reason == "unsupported"


@pytest.mark.parametrize("program", ["", "bin/llama-bench", "./llama-bench"])
def test_a_program_without_a_place(program: str) -> None:
    with pytest.raises(PlatformError, match="is no place"):
        LlamaBench(program, ()).build("linux-arm64")


def test_passes_in_the_order_of_the_samples() -> None:
    found = events(job(), parse(as_json(row(SETS["2026-09"], samples_ns=SAMPLES))), OK)
    assert [e.model_dump(by_alias=True, exclude={"columns"}) for e in found[1:]] == [
        {"e": "timed", "pass": 0, "warmup": True, "name": "prefill", "tokens": 512, "depth": 0, "ns": SAMPLES[0]},
        {"e": "timed", "pass": 1, "warmup": False, "name": "prefill", "tokens": 512, "depth": 0, "ns": SAMPLES[1]},
        {"e": "end", "t": 9, "status": "ok"},
    ]


def test_events_survive_json() -> None:
    for event in events(job(), parse(as_json(row(SETS["2023-08"], samples_ns=SAMPLES, fork={"x": [1]}))), OK):
        again = type(event).model_validate_json(event.model_dump_json(by_alias=True))
        assert again == event


@pytest.mark.parametrize(
    ("outcome", "codes"),
    [
        (Outcome("failed", "crashed", "exit status 1: error: bad", exit=1), ["tool_failed"]),
        (Outcome("failed", "crashed", "SIGSEGV", exit=-11), []),
        (Outcome("failed", "crashed", "the device did not write down how"), []),
        (Outcome("failed", "timeout", "ended after 3 s", exit=-15), []),
    ],
)
def test_how_the_process_ended_goes_before_what_it_printed(outcome: Outcome, codes: list[str]) -> None:
    found = events(job(), parse(as_json(row(SETS["2026-09"], samples_ns=SAMPLES))), outcome)
    assert [e.code for e in found if e.e == "error"] == codes
    assert not [e for e in found if e.e == "timed"]
    assert found[-1].e == "end" and found[-1].status == "failed"


def test_a_row_of_another_model() -> None:
    other = row(SETS["2026-09"], samples_ns=SAMPLES, model_filename="/m/other.gguf")
    (fault,) = [e for e in events(job(), parse(as_json(other)), OK) if e.e == "error"]
    assert (fault.code, fault.message) == ("wrong_test", "asked for the model /m/a b.gguf, the row is of /m/other.gguf")


def said(when: str, **values: Any) -> Told:
    return told(parse(json.dumps(row(SETS[when], **values))).rows[0])


@pytest.mark.parametrize(
    ("found", "used"),
    [
        (said("2023-08", cuda=True, n_gpu_layers=33, f16_kv=True), ("cuda", 33, None, "f16", "f16", None)),
        (said("2023-08", blas=True, n_gpu_layers=99), ("cpu", 0, None, "f32", "f32", None)),
        (said("2024-05", use_mmap=True, flash_attn=True), ("cpu", 0, "on", "f16", "f16", True)),
        (said("2024-12", backends="Vulkan", n_gpu_layers=0), ("cpu", 0, "off", "f16", "f16", False)),
        (said("2026-07", backends="CUDA,BLAS"), ("cuda", 99, "auto", "f16", "f16", True)),
        (said("2026-09", load_mode="dio", flash_attn=0), ("cpu", 0, "off", "f16", "f16", False)),
        (said("2026-09", load_mode="auto", flash_attn=1), ("cpu", 0, "on", "f16", "f16", None)),
    ],
)
def test_rows_of_all_times_in_the_words_of_used(found: Told, used: tuple[Any, ...]) -> None:
    names = ("backend", "n_gpu_layers", "flash_attention", "type_k", "type_v", "mmap")
    assert tuple(getattr(found, name) for name in names) == used
