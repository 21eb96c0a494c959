"""What a chosen instrument cannot do is refused where a cell would need it, and nowhere else."""

from __future__ import annotations

import pytest

from tests.support.specs import bench, check, compiles, matrix, rejects

STOCK = "engine = llama_cpp { tool = llama_bench }"
PROMPT, OUTPUT = (
    "workload = generate(prompt = 64, output = 0)",
    "workload = generate(prompt = 0, output = 16, depth = 64)",
)
RATES = "measure prefill_rate, decode_rate"


def stocked(body: str) -> str:
    return bench(f"{STOCK}\n{body}", without="engine workload")


@pytest.mark.parametrize("workload", [PROMPT, OUTPUT])
def test_what_it_can_do(workload: str) -> None:
    compiles(stocked(f"{workload}\n{RATES}"))
    compiles(stocked(workload))  # the metrics of a bench that names none are no demand


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ("workload = generate(prompt = 64, output = 16)", "cannot do `prompt` and `output` in one request"),
        ('workload = generate(prompts = ["a"], output = 16)', "cannot do `prompts` of the workload"),
        ("workload = generate(prompt = 64, output = 0, duration = 1min)", "cannot do `duration` of the workload"),
    ],
)
def test_workloads(workload: str, said: str) -> None:
    found = rejects(stocked(f"{workload}\n{RATES}"), "E0615")
    assert said in found.message
    compiles(bench(workload, without="workload"))


@pytest.mark.parametrize("metric", ["ttft", "itl", "load_time", "peak_memory"])
def test_metrics(metric: str) -> None:
    found = rejects(stocked(f"{PROMPT}\nmeasure prefill_rate, {metric}"), "E0615", at=metric)
    assert found.message == f"llama-bench cannot measure `{metric}`"
    compiles(stocked(f"{PROMPT}\nmeasure prefill_rate\nmeasure? {metric}"))


@pytest.mark.parametrize("setting", ["threads_batch = 2", "n_ctx = 512", "backend = cpu", "mmap = false", "seed = 1"])
def test_parameters(setting: str) -> None:
    engine = f"engine = llama_cpp {{ tool = llama_bench, {setting} }}"
    found = rejects(bench(f"{engine}\n{PROMPT}", without="engine workload"), "E0615", at=setting)
    assert found.helps
    compiles(bench(f"engine = llama_cpp {{ {setting} }}\n{PROMPT}", without="engine workload"))


@pytest.mark.parametrize("setting", ['program = "llama-bench"', 'arguments = ["-v"]'])
def test_what_only_it_reads(setting: str) -> None:
    engine = f"engine = llama_cpp {{ {setting} }}"
    rejects(bench(f"{engine}\n{PROMPT}", without="engine workload"), "E0616", at=setting)
    rejects(bench(f"{engine[:-2]}, tool = runner }}\n{PROMPT}", without="engine workload"), "E0616", at=setting)
    compiles(bench(f"{engine[:-2]}, tool = llama_bench }}\n{PROMPT}", without="engine workload"))


@pytest.mark.parametrize(("affinity", "fine"), [("all", True), ("[0, 1]", False), ("big_cores", False)])
def test_cpus(affinity: str, fine: bool) -> None:
    before = f"device here extends local {{ affinity = {affinity} }}"
    text = bench(f"{STOCK}\n{PROMPT}\ndevice = here", without="engine workload device", before=before)
    if fine:
        compiles(text)
    else:
        rejects(text, "E0615", at=f"affinity = {affinity}")


def test_an_axis_of_instruments() -> None:
    rejects(matrix("tool in [worker, llama_bench]"), "E0615")
    compiles(matrix('tool in [worker, llama_bench]\nexclude where tool == llama_bench because "other work"'))
    both = "tool in [worker, llama_bench]\nworkload in [generate(prompt = 64, output = 0)]"
    compiles(matrix(both, without="workload"))


def test_each_fault_is_told_once_with_the_others() -> None:
    engine = "engine = llama_cpp { tool = llama_bench, seed = 1, n_ctx = 512 }"
    text = bench(f"{engine}\nmeasure ttft, itl", without="engine")
    found = [d.message.removeprefix("llama-bench cannot ") for d in check(text).diagnostics if d.code == "E0615"]
    assert sorted(found) == [
        "be asked for `n_ctx`", "be asked for `seed`", "do `prompt` and `output` in one request", "measure `itl`",
        "measure `ttft`",
    ]  # fmt: skip
