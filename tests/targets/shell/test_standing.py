"""Clocks and processors from the lines of the kernel."""

from __future__ import annotations

import pytest
from mobench_targets.shell.standing import clocks, processors, spent


@pytest.mark.parametrize(
    ("uptime", "date", "found"),
    [
        ("12.34 99.1", "1795660000\n", {"t": 12_340_000_000, "wall_ns": 1_795_660_000_000_000_000}),
        ("12", None, {"t": 12_000_000_000}),
        (None, "+%s", {}),
        ("", "", {}),
        ("x 1", "12.5", {}),
        # beyond what 32 bits hold: 80 years of uptime, a date after 2038
        ("2522880000.07", "4102444800", {"t": 2_522_880_000_070_000_000, "wall_ns": 4_102_444_800_000_000_000}),
    ],
)
def test_clocks(uptime: str | None, date: str | None, found: dict[str, int]) -> None:
    assert clocks(uptime, date) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("10 1 5 900 7 2 3 4 0 0", {"busy_ns": 210_000_000, "steal_ns": 40_000_000}),
        ("9000000000 0 0 1 0 0 0 0", {"busy_ns": 90_000_000_000_000_000, "steal_ns": 0}),
        ("10 1 5 900", {}),  # a kernel from before there was stolen time
        ("denied", {}),
        (None, {}),
    ],
)
def test_processors(line: str | None, found: dict[str, int]) -> None:
    assert processors(line) == found


@pytest.mark.parametrize(
    ("text", "ns"),
    [("0m0.03s 0m0.01s", 40_000_000), ("61m2.5s 0m0.500000s", 3_663_000_000_000), ("0m1s 0m1s", 2_000_000_000),
     ("", None), ("0m1.0s", None), ("0.1 0.2", None)],
)  # fmt: skip
def test_what_a_shell_spent(text: str, ns: int | None) -> None:
    assert spent(text) == ns
