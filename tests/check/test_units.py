"""Numbers, units and arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobench_lang.check import units
from mobench_lang.plan.digest import canonical_json
from tests.support.specs import axis, bench, compiles, declares, rejects, value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1500ms", "1500ms"), ("90s", "90s"), ("120s", "2min"), ("0.5h", "30min"), ("1us + 1µs", "2us"),
        ("1GiB", "1GiB"), ("1024MiB", "1GiB"), ("1000MB", "1GB"), ("40°C", "40°C"), ("40C", "40°C"),
        ("2.5W", "2500mW"), ("1Wh", "1Wh"), ("3600J", "1Wh"), ("12tok/s", "12tok/s"), ("0.5J/tok", "0.5J/tok"),
        ("60%", "60%"), ("5pp", "5pp"), ("2.4GHz", "2400MHz"), ("4000mAh", "4000mAh"), ("8tok", "8tok"), ("5K", "5K"),
    ],
)  # fmt: skip
def test_units_have_one_canonical_text(written: str, meant: str) -> None:
    assert value(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1min + 30s", "90s"), ("1min - 30s", "30s"), ("1min / 4", "15s"), ("2 * 30s", "1min"), ("10GiB * 60%", "6GiB"),
        ("1min / 30s", "2"), ("40°C + 5K", "45°C"), ("40°C - 5K", "35°C"), ("45°C - 40°C", "5K"), ("60% + 3pp", "63%"),
        ("60% - 50%", "10%"), ("50% * 50%", "25%"), ("10W * 3s", "30J"), ("30J / 3s", "10W"),
        ("100tok / 2s", "50tok/s"),
        ("7 / 2", "3.5"), ("6 / 2", "3"), ("0.1 + 0.2", "0.3"), ("2 + 3 * 4", "14"), ("(2 + 3) * 4", "20"),
        ("-3 + 5", "2"),
        ("round(2.5)", "2"), ("round(3.5)", "4"), ("sum([1s, 2s])", "3s"), ("max(1, 7, 3)", "7"),
        ("min([1min, 30s])", "30s"),
        ("len(1..8)", "8"), ("if 1 < 2 then 5 else 6", "5"),
    ],
)  # fmt: skip
def test_arithmetic_is_exact_and_keeps_units(written: str, meant: str) -> None:
    assert value(written) == meant


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("40°C + 5°C", "E0317"), ("40°C * 2", "E0317"), ("5K - 40°C", "E0317"), ("1min + 30", "E0317"),
        ("1s + 1GiB", "E0317"), ("60% + 1s", "E0317"), ("5pp * 60%", "E0317"), ("true + 1", "E0317"),
        ('"a" + "b"', "E0317"), ("[1] - [2]", "E0317"), ("1s / 0", "E0332"), ("1 / 0", "E0332"), ("1s / 0s", "E0332"),
        ("1 / 0%", "E0332"), ("100tok / 0s", "E0332"), ("9_223_372_036_854_775_807 + 1", "E0333"),
        ("1s < 1GiB", "E0319"),
        ("5pp < 60%", "E0319"), ("40°C < 5K", "E0319"), ("1 < 1s", "E0319"), ("null < 1", "E0319"),
        ('"a" < "b"', "E0319"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error(written: str, code: str) -> None:
    rejects(f"let x = {written}", code)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("run { timeout = 15 }", "15"),
        ("thermal { cooldown = 2 * 30 }", "2 * 30"),
        ("thermal { start_below = 40 }", "40"),
    ],
)
def test_a_bare_number_for_a_quantity_shows_the_fix(text: str, at: str) -> None:
    found = rejects(bench(text), "E0312", at=at)
    assert found.fixes and "units of" in found.helps[0]


def test_a_quantity_of_another_dimension() -> None:
    found = rejects(bench("thermal { start_below = 34W }"), "E0313", at="34W")
    assert "°C" in found.helps[0]
    rejects(bench("thermal { start_below = 5K }"), "E0313", at="5K")


def test_counts_take_whole_tokens_and_nothing_else() -> None:
    compiles(bench("workload = generate(prompt = 64tok, output = 2 * 8)", without="workload"))
    rejects(bench("workload = generate(prompt = 64s, output = 16)", without="workload"), "E0314", at="64s")
    rejects(bench("workload = generate(prompt = 1.5, output = 16)", without="workload"), "E0314", at="1.5")
    rejects(bench("run { repeat = -1 }"), "E0315", at="-1")


def test_a_ratio_may_be_written_as_a_fraction() -> None:
    device = "device d { target = android }"
    for written in ("20%", "0.2", "0.20", "1 / 5"):
        spec = compiles(bench(f"device = d\nconditions {{ brightness = {written} }}", without="device", before=device))
        assert repr(spec.conditions[0].value) == "Quantity(value=Decimal('0.2'), unit='1')"
    rejects(bench("device = d\nconditions { brightness = 20 }", without="device", before=device), "E0312", at="20")


@pytest.mark.parametrize("written", ["1min", "60s", "60.0s", "0.5min + 30s", "60_000ms"])
def test_equal_values_are_one_thing_to_a_digest(written: str) -> None:
    story = f'workload story {{ prompts = ["a"], output = 1, duration = {written} }}'
    spec = compiles(bench("workload = story", without="workload", before=story))
    assert b'"60000000000"' in canonical_json(axis(spec, "workload"))


def test_negative_temperatures_are_temperatures() -> None:
    compiles(bench("thermal { start_below = -5°C }"))
    rejects(bench("thermal { cooldown = -5s }"), "E0316", at="-5s")


def test_strings_take_values() -> None:
    assert value('"a ${1 + 1} ${30s * 2} ${Q8_0} ${m}"') == "a 2 1min Q8_0 m"
    declares('let x = "no \\${interpolation}"')


QUANTITIES = st.builds(
    units.read,
    st.decimals(min_value=-(10**9), max_value=10**9, places=6, allow_nan=False, allow_infinity=False),
    st.sampled_from([u for d in units.DIMENSIONS.values() for u, _ in d.units]),
)


@given(QUANTITIES)
def test_what_is_shown_reads_back_as_the_same_quantity(quantity: units.Qty) -> None:
    import re
    from decimal import Decimal

    match = re.fullmatch(r"(-?[0-9.]+)(.*)", units.show(quantity))
    assert match is not None
    assert units.read(Decimal(match[1]), match[2]) == quantity
