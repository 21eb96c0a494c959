"""Golden metrics of trial folders made by hand: every figure can be checked by eye."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mobench_lang.collect.records import MetricValue, Trial
from mobench_lang.collect.run import launches, read_run
from tests.support.folders import MS, Passes, RunFolder, samples_text

TIMING = ("ttft", "prefill_rate", "decode_rate", "prefill_char_rate", "decode_char_rate", "itl", "e2e_latency")


def trials(run: RunFolder) -> list[Trial]:
    return [t for launch in launches(read_run(run.path)) for t in launch.trials]


def measured(run: RunFolder) -> dict[str, MetricValue]:
    (trial,) = [t for t in trials(run) if not t.warmup]
    return {m.name: m for m in trial.metrics}


def values(found: dict[str, MetricValue], *names: str) -> list[float | None]:
    return [found[n].value for n in names]


def test_the_metrics_of_one_request(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(passes=Passes())  # prefill of 8 tokens, 16 characters in 10 ms; 4 tokens, 12 characters, 10 ms apart
    found = measured(run)
    assert values(found, *TIMING) == [10 * MS, 800.0, 100.0, 1600.0, 300.0, 10 * MS, 40 * MS]
    assert values(found, "load_time", "peak_memory", "peak_rss") == [50 * MS, 2001, 2001]
    assert found["peak_memory"].method == "VmHWM"
    assert found["peak_memory"].unit == "bytes"


def test_rates_are_sums_over_requests_and_latencies_medians(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(passes=Passes(requests=3, jitter=(0, 0, 0, 6 * MS)))
    found = measured(run)
    assert found["decode_rate"].value == pytest.approx(3 * 3 / (3 * 0.036))
    assert values(found, "ttft", "e2e_latency", "itl") == [10 * MS, 46 * MS, 10 * MS]


def test_a_metric_without_its_ingredients_says_so(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(passes=Passes(output=1, text=None), prompt_tokens=0)
    found = measured(run)
    assert found["ttft"].value == 10 * MS
    for name in ("decode_rate", "decode_char_rate", "itl", "prefill_rate", "prefill_char_rate"):
        assert (found[name].value, found[name].reason) == (None, "not_applicable")


def test_no_output_leaves_the_prefill(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(passes=Passes(output=0))
    found = measured(run)
    assert found["prefill_rate"].value == 800.0
    assert values(found, "ttft", "decode_rate", "e2e_latency", "itl") == [None] * 4


def test_what_was_asked_for_and_not_delivered_is_a_row(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("decode_rate", "energy", "soc_temp", "phys_footprint"))
    run.launch()
    found = measured(run)
    for name in ("energy", "soc_temp", "phys_footprint"):
        assert (found[name].value, found[name].reason) == (None, "not_delivered")
    assert "skin_temp" not in found


def test_the_load_belongs_to_the_first_measured_pass(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, isolation="cell")
    run.launch(passes=Passes(measured=3))
    found = trials(run)
    assert [(t.rep, t.number, t.warmup) for t in found] == [(0, 0, True), (0, 1, False), (1, 2, False), (2, 3, False)]
    loads = [{m.name: m for m in t.metrics}["load_time"] for t in found]
    assert [m.value for m in loads] == [None, 50 * MS, None, None]
    assert {m.reason for m in loads if m.value is None} == {"not_applicable"}


def test_a_failed_launch_is_a_row_without_numbers(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(status="failed", reason="out_of_memory")
    (trial,) = trials(run)
    assert (trial.status, trial.reason, trial.warmup) == ("failed", "out_of_memory", False)
    assert {m.value for m in trial.metrics} == {None}
    assert {m.reason for m in trial.metrics} == {"out_of_memory"}
    assert {m.name for m in trial.metrics} >= {"decode_rate", "load_time", "peak_memory"}


def test_stamps_of_a_launch_that_crashed_are_kept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    folder = run.launch(passes=Passes(), status="failed", reason="crashed")
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(lines[:-3]) + lines[-3][:20])  # torn before the end of the pass
    trial = trials(run)[-1]
    assert trial.status == "failed"
    assert len(trial.requests[0].stamps) == 4
    assert "torn_tail" in trial.flags


def test_events_that_cannot_be_read_whole_are_never_ok(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    folder = run.launch()
    text = (folder / "events.jsonl").read_text()
    (folder / "events.jsonl").write_text(text.replace('"e": "pass", "pass": 1', '"e": "sap", "pass": 1'))
    trial = trials(run)[-1]
    assert (trial.status, trial.reason) == ("invalid", "unreadable_events")
    assert {m.value for m in trial.metrics} == {None}


def test_a_pass_that_is_missing_failed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, isolation="cell")
    folder = run.launch(passes=Passes(measured=2))
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, "measured": 3}))
    assert [(t.status, t.reason) for t in trials(run)][-1] == ("failed", "pass_missing")


CHANNELS = {
    "soc_temp": ("m°C", "zone0"),
    "cpu_freq.0": ("kHz", "cpu0"),
    "cpu_freq.1": ("kHz", "cpu1"),
    "energy.package-0": ("µJ", "rapl:0"),
    "cpu_busy": ("ns", "/proc/stat"),
}


def sampled(step: int = MS, scale: int = 1) -> str:
    """From before the load to after the end; 2 W, 45 °C, 1 and 2 GHz, one CPU busy; clocks in every second row."""
    rows: list[tuple[int, list[int | None]]] = []
    for i, t in enumerate(range(900 * MS, 2000 * MS, step)):
        slow: list[int | None] = [45_000, 1_000_000, 2_000_000] if i % 2 == 0 else [None, None, None]
        rows.append((t, [*slow, scale * 2 * t // 1000, t]))
    return samples_text(CHANNELS, rows)


def test_sampled_series_are_means_in_the_store_s_units(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("soc_temp", "cpu_freq", "cpu_util", "power"))
    header = json.loads((run.path / "run.json").read_text())
    header["devices"]["local"]["facts"]["cores"] = 4
    (run.path / "run.json").write_text(json.dumps(header))
    run.launch(samples=sampled())
    found = measured(run)
    assert values(found, "soc_temp", "cpu_freq", "cpu_util") == [45.0, 1.5e9, pytest.approx(25.0)]
    assert found["power"].value == pytest.approx(2.0, rel=1e-3)
    assert found["cpu_util"].method == "busy time of 4 CPUs / wall time"


def test_energy_is_the_difference_of_the_counter_over_the_phases(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("energy", "energy_prefill", "energy_decode", "energy_per_token"))
    run.launch(samples=sampled())
    found = measured(run)
    assert found["energy_prefill"].value == pytest.approx(2 * 0.010, rel=1e-3)
    assert found["energy_decode"].value == pytest.approx(2 * 0.030, rel=1e-3)
    assert found["energy"].value == pytest.approx(0.080, rel=1e-3)
    assert found["energy_per_token"].value == pytest.approx(0.080 / 4, rel=1e-3)
    assert found["energy"].method == "rapl:0: counter difference; idle baseline not subtracted"


def test_too_few_updates_give_no_energy_per_token(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("energy", "energy_per_token"))
    run.launch(samples=sampled(step=5 * MS))
    found = measured(run)
    assert found["energy"].value is not None
    assert (found["energy_per_token"].value, found["energy_per_token"].reason) == (None, "too_few_updates")


def test_a_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    wrap = 3_400_000  # µJ: in the middle of the measured pass
    run = RunFolder(tmp_path, metrics=("energy",))
    rows = [(t, [(2 * t // 1000) % wrap]) for t in range(900 * MS, 2000 * MS, MS)]
    run.launch(samples=samples_text({"energy.package-0": ("µJ", "rapl:0")}, rows))
    assert measured(run)["energy"].reason == "counter_went_back"
    header = json.loads((run.path / "run.json").read_text())
    header["devices"]["local"]["facts"]["energy_ranges_uj"] = {"energy.package-0": wrap}
    (run.path / "run.json").write_text(json.dumps(header))
    assert measured(run)["energy"].value == pytest.approx(0.080, rel=1e-3)


def test_a_window_outside_the_samples_has_no_energy(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("energy",))
    rows: list[tuple[int, list[int | None]]] = [(t, [t]) for t in range(900 * MS, 1250 * MS, MS)]
    run.launch(samples=samples_text({"energy.package-0": ("µJ", "rapl:0")}, rows))
    assert (measured(run)["energy"].value, measured(run)["energy"].reason) == (None, "window_not_covered")


def test_power_is_integrated(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("energy", "power"))
    rows: list[tuple[int, list[int | None]]] = [(t, [1500 + t % 2, 500]) for t in range(900 * MS, 2000 * MS, MS)]
    run.launch(samples=samples_text({"power.cpu": ("mW", "ina"), "power.gpu": ("mW", "ina")}, rows))
    found = measured(run)
    assert found["power"].value == pytest.approx(2.0)
    assert found["energy"].value == pytest.approx(0.080)


def test_a_short_window_between_two_slow_readings_is_interpolated(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("soc_temp",))
    run.launch(samples=samples_text({"soc_temp": ("m°C", "zone0")}, [(0, [40_000]), (4000 * MS, [44_000])]))
    found = measured(run)["soc_temp"]
    assert found.value == pytest.approx(41.26)
    assert found.method == "zone0; interpolated"


def test_the_thermal_level_is_that_around_the_launch(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("thermal_status",))
    folder = run.launch()
    assert measured(run)["thermal_status"].reason == "not_delivered"
    around = {"before": {"thermal_status": 0}, "after": {"thermal_status": 2}}
    (folder / "state.json").write_text(json.dumps(around))
    assert measured(run)["thermal_status"].value == 2


def test_damaged_samples_cost_only_themselves(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, metrics=("soc_temp",))
    lines = sampled().splitlines()
    lines[300] = lines[300][: len(lines[300]) // 2]
    lines[301] = '{"e":"s","t":"x","v":[1]}'
    run.launch(samples="\n".join(lines) + '\n{"e":"s","t":')
    trial = next(t for t in trials(run) if not t.warmup)
    assert trial.status == "ok"
    assert "samples_damaged" in trial.flags
    assert {m.name: m.value for m in trial.metrics}["soc_temp"] == 45.0


def test_throttling_is_found_and_pauses_are_none(tmp_path: Path) -> None:
    metrics = ("throttle_onset", "sustained_ratio")
    slow = RunFolder(tmp_path, "slow", metrics=metrics)
    jitter = [20 * MS * max(0, i - 3000) for i in range(5000)]  # 100 tok/s, then 33 tok/s
    slow.launch(passes=Passes(warmup=0, output=5000, jitter=jitter))
    found = measured(slow)
    assert found["sustained_ratio"].value == pytest.approx(1 / 3, rel=0.01)
    assert found["throttle_onset"].value == pytest.approx(30e9, rel=0.05)
    steady = RunFolder(tmp_path, "steady", metrics=metrics)
    steady.launch(passes=Passes(warmup=0, output=3000))
    found = measured(steady)
    assert found["sustained_ratio"].value == pytest.approx(1, rel=0.01)
    assert (found["throttle_onset"].value, found["throttle_onset"].reason) == (None, "no_throttling")


@pytest.mark.parametrize(
    ("unit", "stored", "raw", "value"),
    [
        ("m°C", "°C", 41_500, 41.5), ("µJ", "J", 5, 5e-6), ("uW", "W", 5_000_000, 5.0), ("kHz", "Hz", 3, 3000.0),
        ("ns", "ns", 7, 7.0), ("mAh", "mAh", 7, 7.0), ("uAh", "mAh", 7000, 7.0), ("%", "%", 7, 7.0),
        ("d°C", "°C", 415, 41.5), ("B", "bytes", 9, 9.0), ("furlong", "furlong", 9, 9.0),
    ],
)  # fmt: skip
def test_units_of_channels(unit: str, stored: str, raw: int, value: float) -> None:
    from mobench_lang.collect.channels import channel

    found: Any = channel("x.y", unit, "s")
    assert (found.unit, raw * found.times / found.over, found.base) == (stored, value, "x")
