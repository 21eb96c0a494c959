"""Lines of tegrastats of every known shape, JetPack 4 to 7. All are synthetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mobench_targets.jetson.tegrastats import Core, Engine, Rail, parse
from mobench_targets.linux.virtual.profiles import PROFILES

LINES = {
    "tx1": "RAM 1500/3995MB (lfb 500x4MB) cpu [20%,10%,30%,5%]@408 EMC 2%@408 APE 25 GR3D 4%@76",
    "tx2": "RAM 2100/7852MB (lfb 1100x4MB) CPU [8%@345,off,off,5%@345,4%@345,2%@345] EMC_FREQ 1% GR3D_FREQ 3% "
    "PLL@33C MCPU@33C PMIC@100C VDD_IN 3100/3200 VDD_SYS_CPU 500/590 VDD_SYS_DDR 550/600",
    "orin root": "04-24-2026 00:01:24 RAM 3000/30536MB (lfb 5000x4MB) CPU [0%@729] EMC_FREQ 0%@2133 GR3D_FREQ 0%@0 "
    "GR3D2_FREQ 0%@0 VIC_FREQ 729 APE 174 CV0@-256C GPU@-256C Tboard@32C VDD_GPU_SOC 2400mW/2400mW NC 0mW/0mW",
    "orin engines": "RAM 3000/62841MB (lfb 1x4MB) CPU [1%@729] EMC_FREQ 3%@2133 GR3D_FREQ 0%@[0,0] NVENC 79%@166 "
    "NVDEC off VIC 36%@115 OFA off NVDLA0 off PVA0_FREQ off APE 174 cpu@45.5C",
    **{name: profile.tegrastats for name, profile in PROFILES.items() if profile.tegrastats},
}

OFF = Core(online=False, load=None, mhz=None)


@pytest.mark.parametrize("name", LINES)
def test_every_word_is_understood(name: str) -> None:
    assert parse(LINES[name]).unknown == ()


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("word", ["NEW_THING", "x=y", "[3]"])
def test_a_word_that_is_not_understood_costs_no_other(name: str, word: str) -> None:
    before, after = parse(LINES[name]), parse(f"{LINES[name]} {word}")
    assert after.unknown == (word,)
    assert (after.rails, after.temperatures, after.cores) == (before.rails, before.temperatures, before.cores)


def test_a_shared_clock_and_offline_cores() -> None:
    assert parse(LINES["tx1"]).cores[0] == Core(online=True, load=20, mhz=408)
    assert parse(LINES["tx2"]).cores[:2] == (
        Core(online=True, load=8, mhz=345),
        OFF,
    )
    assert parse(LINES["thor"]).cores[2:] == (
        OFF,
        Core(online=True, load=1, mhz=2601),
    )


def test_what_is_not_said_is_unknown_and_not_zero() -> None:
    thor, orin, tx2 = (parse(LINES[name]) for name in ("thor", "orin-nano", "tx2"))
    assert thor.gpu == Engine(on=True, load=None, mhz=(1574, 1574, 1574))
    assert thor.emc == Engine(on=True, load=None, mhz=(4266,))
    assert orin.gpu == Engine(on=True, load=0, mhz=()) and orin.emc is None
    assert tx2.swap is None
    assert parse("").ram is None


def test_engines_are_off_idle_or_busy() -> None:
    found = parse(LINES["orin engines"]).engines
    assert found["NVENC"] == Engine(on=True, load=79, mhz=(166,))
    assert found["NVDEC"] == found["PVA0"] == Engine(on=False, load=None, mhz=())
    assert found["APE"] == Engine(on=True, load=None, mhz=(174,))
    assert found["GR3D"].mhz == (0, 0)


def test_rails_are_no_zones_and_no_processor() -> None:
    found = parse(LINES["xavier"])
    assert [rail.name for rail in found.rails] == ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"]
    assert len(found.cores) == 8 and found.temperatures["gpu"] == 30_500
    assert parse(LINES["thor"]).rails[-1] == Rail("VIN", 36_000, 36_000, 40_000)
    assert parse(LINES["nano"]).rails[0] == Rail("POM_5V_IN", 3500, 3480, None)


def test_dummies_are_left_out() -> None:
    orin = parse(LINES["orin root"])
    assert orin.temperatures == {"tboard": 32_000}
    assert [rail.name for rail in orin.rails] == ["VDD_GPU_SOC"]
    assert "pmic" not in parse(LINES["nano"]).temperatures | parse(LINES["xavier"]).temperatures


@given(st.text() | st.lists(st.sampled_from(" ".join(LINES.values()).split())).map(" ".join))
def test_no_line_is_too_odd(text: str) -> None:
    found = parse(text)
    assert all(word in text for word in found.unknown)


@given(st.sampled_from(sorted(LINES)), st.data())
def test_a_line_that_was_cut_says_nothing_false(name: str, data: st.DataObject) -> None:
    line = LINES[name]
    whole = parse(line)
    cut = parse(line[: data.draw(st.integers(0, len(line)))].rsplit(" ", 1)[0])
    assert set(cut.rails[:-1]) <= set(whole.rails)
    assert cut.temperatures.items() <= whole.temperatures.items()
