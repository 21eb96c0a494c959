"""Where energy comes from, and when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mobench_lang.collect.channels import channel
from mobench_lang.collect.metrics import PassData, measure
from mobench_lang.collect.records import MISSING, MetricValue, Samples, Window
from mobench_lang.protocol import Request

S = 1_000_000_000
MS = 1_000_000
WANTED = ("energy", "energy_prefill", "energy_decode", "energy_per_token", "power", "idle_power", "battery_drain")
START, PREFILL, END, LAST = 10 * S, 12 * S, 42 * S, 45 * S
"""The sampler begins at 0; the process at `START`, its prefill there too, decode from `PREFILL` to `END`."""


def sampled(hz: float, **channels: tuple[str, object]) -> Samples:
    """Readings at a rate from 0 to `LAST`; a channel is a unit and a function of the time in s."""
    t = np.arange(0, LAST + 1, round(S / hz), dtype=np.int64)
    heads, columns = [], []
    for name, (unit, value) in channels.items():
        heads.append(channel(name.replace("__", "."), unit, f"source of {name.replace('__', '.')}"))
        columns.append(np.array([MISSING if (v := value(x / S)) is None else round(v) for x in t], dtype=np.int64))  # type: ignore[operator]
    return Samples(tuple(heads), hz, t, np.stack(columns, axis=1), None, None, False)


def measured(samples: Samples, launched: int | None = START) -> dict[str, MetricValue]:
    stamps = tuple(int(x) for x in np.linspace(PREFILL, END, 301))
    request = Request(
        pass_=0, request=0, conversation=None, turn=0, accepted=START, prefill_start=START, prefill_end=PREFILL,
        prompt_tokens=100, cached_tokens=0, output_tokens=301, prompt_chars=None, output_chars=None, stamps=stamps,
        tokens=(1,) * 301, text=None, finish="length",
    )  # fmt: skip
    windows = (Window(0, "prefill", START, PREFILL), Window(0, "decode", PREFILL, END))
    data = PassData(START, END, 0, None, windows, (request,), (), samples, (), True, 4, launched)
    return {m.name: m for m in measure(data, WANTED)}


def busy(t: float) -> float:
    """2 W at rest, 7 W while the engine runs (10 to 42 s): 32 s at 5 W above rest are 160 J."""
    return 7.0 if 10 <= t < 42 else 2.0


def counter(t: float) -> float:
    """The energy of `busy` so far, in J."""
    return 2.0 * t + 5.0 * min(max(t - 10, 0), 32)


@pytest.mark.parametrize("hz", [1, 10, 100])
def test_a_known_integral_comes_back_within_its_uncertainty(hz: float) -> None:
    found = measured(sampled(hz, power__in=("mW", lambda t: 1000 * busy(t) + (1 if int(t * hz) % 2 else -1))))
    energy = found["energy"]
    assert energy.value is not None
    assert energy.uncertainty is not None
    assert energy.value == pytest.approx(160, rel=0.005 if hz == 100 else 0.05)
    assert abs(energy.value - 160) <= max(energy.uncertainty, 160 * 0.005)
    before = f"{10 - 1 / hz:.3g} s before the launch"
    assert energy.method == f"source of power.in: ∫P dt by trapezoid; 2 W idle subtracted, {before}"
    assert found["idle_power"].value == pytest.approx(2, abs=0.01)
    assert found["power"].value == pytest.approx(7, rel=0.05)


def test_a_counter_is_better_than_a_gauge_and_a_meter_better_than_both() -> None:
    rails = {"energy__cpu": ("mJ", lambda t: 1000 * counter(t)), "power__in": ("mW", lambda t: 99_000)}
    assert measured(sampled(10, **rails))["energy"].value == pytest.approx(160, rel=0.01)
    found = measured(sampled(10, **rails, power__meter=("mW", lambda t: 2000 * busy(t))))
    assert found["energy"].value == pytest.approx(320, rel=0.02)
    assert found["energy"].method.startswith("source of power.meter")


def test_current_times_voltage_with_the_sign_that_the_device_has() -> None:
    volt = ("µV", lambda t: 4_000_000)
    for unit, sign in (("µA", 1), ("-µA", -1)):
        found = measured(
            sampled(10, current=(unit, lambda t, s=sign: s * busy(t) / 4 * 1e6 + int(10 * t) % 2), voltage=volt)
        )
        assert found["energy"].value == pytest.approx(160, rel=0.02)
        assert found["energy"].method.startswith("source of current: ∫I·V dt by trapezoid; 2 W idle")
        assert found["energy_per_token"].value == pytest.approx(160 / 301, rel=0.02)


def test_a_battery_that_is_charged_gives_no_energy() -> None:
    found = measured(sampled(10, current=("mA", lambda t: -500 - int(10 * t) % 2), voltage=("mV", lambda t: 4000)))
    assert [(found[n].value, found[n].reason) for n in ("energy", "energy_decode", "power")] == [(None, "charging")] * 3
    assert (found["energy_per_token"].value, found["energy_per_token"].reason) == (None, "charging")
    assert found["idle_power"].value is None


def test_the_charge_counter_serves_long_runs_only() -> None:
    volt = ("mV", lambda t: 4000)
    current = ("mA", lambda t: busy(t) / 4 * 1000)
    fine = measured(
        sampled(10, charge=("µAh", lambda t: 3e6 - counter(t) / 4 / 3.6 * 1000), voltage=volt, current=current)
    )
    assert fine["energy"].method.startswith("source of charge: charge difference × mean voltage")
    assert fine["energy"].value == pytest.approx(160, rel=0.03)
    coarse = measured(
        sampled(10, charge=("mAh", lambda t: 3000 - counter(t) / 4 / 3.6 // 10 * 10), voltage=volt, current=current)
    )
    assert coarse["energy"].method.startswith("source of current")
    assert coarse["battery_drain"].value == pytest.approx(10)


def test_a_slow_gauge_has_energy_and_none_per_token() -> None:
    found = measured(sampled(10, current=("mA", lambda t: busy(t // 2 * 2) / 4 * 1000), voltage=("mV", lambda t: 4000)))
    assert found["energy"].value is not None
    assert (found["energy_per_token"].value, found["energy_per_token"].reason) == (None, "too_few_updates")


def test_without_readings_before_the_launch_nothing_is_subtracted() -> None:
    power = ("mW", lambda t: 1000 * busy(t) if t >= 9.5 else None)
    found = measured(sampled(10, power__in=power))
    assert found["energy"].value == pytest.approx(224, rel=0.02)
    assert found["energy"].method.endswith("idle baseline not subtracted")
    assert found["energy"].value == measured(sampled(10, power__in=power), launched=None)["energy"].value
    assert "idle_power" not in found or found["idle_power"].reason == "not_delivered"


def test_the_process_s_own_start_stands_in_for_the_host_s_word(tmp_path: Path) -> None:
    from tests.collect.test_metrics import measured as of_run
    from tests.support.folders import RunFolder, samples_text

    run = RunFolder(tmp_path, metrics=("energy", "idle_power"))
    rows = [(t * MS, [2 * t]) for t in range(-4000, 3000, 10)]
    folder = run.launch(samples=samples_text({"energy.rail": ("mJ", "iio")}, rows))
    assert of_run(run)["idle_power"].value == pytest.approx(2)
    assert of_run(run)["energy"].value == pytest.approx(0, abs=1e-6)
    (folder / "state.json").write_text(json.dumps({"before": {}, "after": {}, "spawned": -3900 * MS}))
    assert of_run(run)["idle_power"].value is None


def test_rails_are_current_times_voltage_and_added_up() -> None:
    found = measured(
        sampled(
            100,
            current__VDD_GPU=("mA", lambda t: busy(t) / 2 / 5 * 1000 + int(100 * t) % 2),
            voltage__VDD_GPU=("mV", lambda t: 5000),
            current__VIN=("mA", lambda t: busy(t) / 2 / 20 * 1000 + int(100 * t) % 2),
            voltage__VIN=("mV", lambda t: 20_000),
            rail__current__VDD_SOC=("mA", lambda t: 9000),
        )
    )
    assert found["energy"].value == pytest.approx(160, rel=0.005)
    assert found["energy"].method.startswith("source of current.VDD_GPU, source of current.VIN: ∫I·V dt")
