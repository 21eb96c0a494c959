"""Bringing the clock of a meter and that of a device together, on traces whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.collect.meter import Alignment, Pulse, align, host_times, joined, read_meter
from mobench_lang.collect.records import NO_SAMPLES

HZ = 500
BURSTS = ((0.8, 0.5), (0.5, 0.9), (1.2, 0.5), (0.7, 0.9))
AFTER_S = 25.0


def pattern(start: float) -> list[Pulse]:
    """The bursts of `run.sh`, from a time of the device in s."""
    found, at = [], start
    for on, off in BURSTS:
        found.append((round(at * 1e9), round((at + on) * 1e9)))
        at += on + off
    return found


def trace(
    *, offset: float, ppm: float, noise: float, seed: int, groups: list[list[Pulse]], lag: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """What a meter shows from 3 s before the pattern to 6 s behind the second: 1.2 W at rest, 2 W more in bursts, a
    load of 3 W that flickers in between; its clock is `offset` behind the device's and `ppm` faster."""
    device = np.arange(997.0, 1000.0 + AFTER_S + 12.0, 1 / HZ)
    watts = np.full(device.size, 1.2)
    watts[(device > 1013) & (device < 1022)] += 1.5
    watts[(device > 1013) & (device < 1022) & (np.sin(device * 9) > 0)] += 1.0
    for group in groups:
        for begin, end in group:
            watts[(device >= begin * 1e-9 + lag) & (device < end * 1e-9 + lag)] += 2.0
    watts += np.random.default_rng(seed).normal(0, noise, device.size)
    return offset + (device - 1000.0) * (1 + ppm * 1e-6), watts


BEFORE, AFTER = pattern(1000.0), pattern(1000.0 + AFTER_S)


@settings(max_examples=40, deadline=None)
@given(
    offset=st.floats(-4e5, 4e5), ppm=st.floats(-100, 100), noise=st.floats(0, 0.6), seed=st.integers(0, 99),
    lag=st.floats(0, 0.02),
)  # fmt: skip
def test_offset_and_drift_come_back_within_the_uncertainty(
    offset: float, ppm: float, noise: float, seed: int, lag: float
) -> None:
    meter, watts = trace(offset=offset, ppm=ppm, noise=noise, seed=seed, groups=[BEFORE, AFTER], lag=lag)
    found = align(meter, watts, BEFORE, AFTER)
    assert isinstance(found, Alignment)
    for truth in (1000.0, 1012.0, 1030.0):
        at = offset + (truth - 1000.0) * (1 + ppm * 1e-6)
        error = found.device + (at - found.meter) * found.rate - truth
        assert abs(error + lag) <= 3 * found.uncertainty
    assert found.uncertainty < 0.03


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ([], "does not show the pulses before"),
        ([BEFORE], "not as far apart|does not show the pulses after"),
        ([BEFORE, pattern(1000.0 + AFTER_S + 2.0)], "not as far apart"),
        ([BEFORE, AFTER, pattern(1006.5), pattern(1006.5 + AFTER_S)], "more than one place"),
    ],
)
def test_what_is_not_found_or_found_twice_gives_no_times(groups: list[list[Pulse]], why: str) -> None:
    meter, watts = trace(offset=50.0, ppm=20, noise=0.1, seed=1, groups=groups)
    found = align(meter, watts, BEFORE, AFTER)
    assert isinstance(found, str)
    assert any(part in found for part in why.split("|"))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_noise_alone_is_never_taken_for_the_pattern(seed: int) -> None:
    meter, watts = trace(offset=0.0, ppm=0, noise=1.0, seed=seed, groups=[])
    assert isinstance(align(meter, watts, BEFORE, AFTER), str)


def test_a_device_that_made_no_pulses_is_not_aligned() -> None:
    meter, watts = trace(offset=0.0, ppm=0, noise=0.1, seed=1, groups=[BEFORE, AFTER])
    assert align(meter, watts, BEFORE, []) == "the device made no pulses before and after the instrument"


@settings(max_examples=30, deadline=None)
@given(ppm=st.floats(-200, 200), seed=st.integers(0, 99))
def test_counts_are_dated_by_the_packets_that_were_least_late(ppm: float, seed: int) -> None:
    late = np.random.default_rng(seed).exponential(0.01, 600)
    count = np.arange(600) * 250.0
    taken = 7000.0 + count / (5000 * (1 + ppm * 1e-6))
    found = host_times(count, np.stack([count, (taken + late) * 1e9], axis=1))
    assert np.abs(found - taken).max() < 0.005


# ---------------------------------------------------------------- the files of a launch


def write(folder: Path, *, end: dict[str, object] | None = None, amperes: float = 0.3, lost: bool = False) -> None:
    """A launch's folder with the recording of a trace and the device's pulses."""
    meter, watts = trace(offset=20.0, ppm=30, noise=0.05, seed=3, groups=[BEFORE, AFTER])
    lines: list[dict[str, object]] = [{"e": "meter", "source": "Monsoon HVPM 1", "block": 10, "rate": 5000}]
    for i, (t, power) in enumerate(zip(meter, watts, strict=True)):
        lines.append({"e": "s", "n": i * 10, "v": [round(amperes * 1e6), 4_000_000, round(power * 1e6)]})
        if i % 25 == 24:
            lines.append({"e": "sync", "n": i * 10 + 10, "t": round((t + 1 / HZ) * 1e9)})
    if not lost:
        lines.append({"e": "end", "reason": "", "samples": meter.size * 10, "dropped": 0} | (end or {}))
    (folder / "meter.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told: list[dict[str, object]] = []
    for at, group in (("before", BEFORE), ("after", AFTER)):
        told.append({"e": "pulses", "at": at})
        told += [{"e": "guard", "spawned": begin, "exited": stop} for begin, stop in group]
    (folder / "pulses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))


def test_a_recording_becomes_power_in_device_time(tmp_path: Path) -> None:
    write(tmp_path)
    found = read_meter(tmp_path)
    assert found is not None and found.reason == ""
    samples = joined(NO_SAMPLES, found)
    (channel,) = samples.channels
    assert (channel.name, channel.unit, samples.unmetered) == ("power.meter", "W", "")
    assert "Monsoon HVPM 1, aligned by pulses of load to" in channel.source
    assert samples.quiet_from == BEFORE[-1][1] + 1_000_000_000
    inside = (samples.t >= BEFORE[2][0] + 100_000_000) & (samples.t <= BEFORE[2][1] - 100_000_000)
    assert samples.raw[inside, 0].mean() * 1e-6 == pytest.approx(3.2, abs=0.05)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"end": {"reason": "meter_lost", "detail": "gone"}}, "meter_lost"),
        ({"lost": True}, "meter_lost"),
        ({"end": {"dropped": 9000}}, "meter_dropped"),
        ({"amperes": 0.0}, "meter_tripped"),
    ],
)
def test_a_recording_that_cannot_be_trusted_has_a_reason_and_no_values(
    tmp_path: Path, what: dict[str, object], reason: str
) -> None:
    write(tmp_path, **what)  # type: ignore[arg-type]
    samples = joined(NO_SAMPLES, read_meter(tmp_path))
    assert (samples.unmetered, samples.channels) == (reason, ())


def test_a_launch_without_pulses_is_not_aligned(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "pulses.jsonl").unlink()
    assert joined(NO_SAMPLES, read_meter(tmp_path)).unmetered == "meter_not_aligned"


def test_without_a_meter_nothing_changes(tmp_path: Path) -> None:
    assert joined(NO_SAMPLES, read_meter(tmp_path)) is NO_SAMPLES
