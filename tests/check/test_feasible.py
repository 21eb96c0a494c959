"""What cannot work is found before any device is touched."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

import mobench_lang.check as checker
from mobench_lang.check.schema import schema
from mobench_lang.packs import Attribute
from tests.support.specs import bench, compiles, matrix, rejects

BIG = 'model big { source = hf("a/b", rev = "c"), params = 8_000_000_000, context = 2048 }'
PIXEL = "device pixel { target = android, ram = 8GiB }"


def test_context() -> None:
    found = rejects(bench("workload = generate(prompt = 4000, output = 97)", without="workload"), "E0605")
    assert "4097" in found.message and "4096" in found.message
    compiles(bench("workload = generate(prompt = 4000, output = 96)", without="workload"))
    rejects(bench("workload = generate(prompt = 4000, output = 96, depth = 1)", without="workload"), "E0605")
    rejects(bench("engine = llama_cpp { n_ctx = 64 }", without="engine"), "E0605")


def test_context_counts_what_free_axes_bind() -> None:
    rejects(matrix("depth in [0, 4096]"), "E0605")
    compiles(matrix("depth in [0, 4096]\nexclude where depth > 4000"))
    rejects(matrix("n_ctx in [64, 128]"), "E0605")


def test_ram() -> None:
    body = "model in [big]\nquant in [F16, Q4_0]\ndevice in [pixel]"
    found = rejects(matrix(body, without="model device", before=f"{BIG}\n{PIXEL}"), "E0606")
    assert "14.9GiB" in found.message and "8GiB" in found.message
    compiles(matrix(body + "\nexclude where quant == F16", without="model device", before=f"{BIG}\n{PIXEL}"))
    compiles(matrix(body, without="model device", before=f"{BIG}\ndevice pixel {{ target = android }}"))


def test_storage() -> None:
    body = "model in [big]\nquant in [Q4_0, Q3_K_M]\ndevice in [pixel]"
    for storage, code in (("8GiB", "E0610"), ("9GiB", "")):
        before = f"{BIG}\ndevice pixel {{ target = android, storage = {storage} }}"
        text = matrix(body, without="model device", before=before)
        if code:
            rejects(text, code, at=f"storage = {storage}")
        else:
            compiles(text)


def test_meters() -> None:
    def text(meter: str, duration: str, measure: str = "energy") -> str:
        before = (
            f'use "std/meters" as meters\ndevice p {{ target = android, meter = meters.{meter} }}\n'
            f'workload w {{ prompts = ["a"], output = 8, duration = {duration} }}'
        )
        return bench(f"device = p\nworkload = w\nmeasure {measure}", without="device workload", before=before)

    rejects(text("ina3221", "10min"), "E0612", at="meter = meters.ina3221")
    compiles(text("battery_gauge", "29s"), warns=("W0611",))
    compiles(text("battery_gauge", "30s"))
    compiles(text("battery_gauge", "29s", "ttft"))


def test_sources() -> None:
    for source, warning in (('path("no.gguf")', "W0608"), ('hf("a/b")', "W0609"), ('path("/no.gguf")', "W0349")):
        text = bench(f"model = {source}", without="model")
        warns = (warning, "W0608") if warning == "W0349" else (warning,)
        compiles(text, warns=warns)
    compiles(bench('model = hf("a/b", rev = "c")', without="model"))


def other_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an engine for phones alone, with few formats, and a target without a sensor were installed."""
    real = schema()
    narrow = replace(real.engines["llama_cpp"], name="narrow", quants=("Q4_0",), targets=("android",), parameters={})
    bare = replace(
        real.targets["local"], name="bare", metrics={}, predeclared="bare_device",
        parameters={"threads": Attribute(type="int", doc="")},
    )  # fmt: skip
    changed = replace(
        real,
        engines=MappingProxyType({**real.engines, "narrow": narrow}),
        targets=MappingProxyType({**real.targets, "bare": bare}),
    )
    monkeypatch.setattr(checker, "schema", lambda: changed)


def test_engines_with_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    other_packs(monkeypatch)
    body = "engine in [narrow]\nquant in [Q4_0, F16]\ndevice in [pixel]"
    found = rejects(matrix(body, without="engine device", before=PIXEL), "E0601", at="F16")
    assert "it runs Q4_0" in found.helps
    compiles(matrix(body + "\nexclude where quant == F16", without="engine device", before=PIXEL))
    found = rejects(matrix("engine in [llama_cpp, narrow]\nquant in [Q4_0]", without="engine"), "E0602", at="narrow")
    assert found.helps == ("it runs on android",)


def test_a_target_without_a_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    other_packs(monkeypatch)
    rejects(bench("device = bare_device\nthermal { start_below = 40°C }", without="device"), "E0804", at="40°C")
    compiles(bench("device = bare_device\nthermal { cooldown = 40s }", without="device"))


def test_an_axis_that_could_set_two_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    other_packs(monkeypatch)
    found = rejects(matrix("device in [bare_device]\nthreads in [1, 2]", without="device"), "E0506", at="threads")
    assert "engine and of the device" in found.message
