"""What a Jetson adds to a Linux board: release, power mode, rails, and what tegrastats says.

In: what `board.sh` said. Out: facts and state. What it did not say is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mobench_targets.jetson.tegrastats import parse
from mobench_targets.linux.board import Board
from mobench_targets.shell.platform import Channel

_JETPACK = ((32, 33, "4"), (34, 36, "5"), (36, 37, "6"), (38, 40, "7"))
"""First release of L4T, the one behind the last, JetPack."""


class Jetson(Board):
    """The platform of one Jetson."""

    def described(self, one: dict[str, str], said: dict[str, list[str]], channels: Iterable[Channel]) -> dict[str, Any]:
        """The facts of a Linux board and of a Jetson."""
        return super().described(one, said, channels) | {
            "l4t": one.get("l4t"),
            "jetpack": jetpack(one.get("l4t")),
            "cuda": one.get("cuda"),
            "power_mode": one.get("power_mode"),
            "power_modes": one.get("power_modes", "").split(),
            "rails": one.get("rails", "").split(),
            "rails_total": one.get("rails_total", "").split(),
            "rails_reason": one.get("rails_reason"),
            "docker": one.get("docker"),
        }

    def standing(self, one: dict[str, str], said: dict[str, list[str]]) -> dict[str, Any]:
        """The state of a Linux board, the power mode, and a line of tegrastats, understood and as it was."""
        found = super().standing(one, said) | {"power_mode": one.get("power_mode")}
        if "tegrastats" in one:
            line = parse(one["tegrastats"])
            found["tegrastats"] = {
                "line": one["tegrastats"],
                "rails_mw": {rail.name: rail.now for rail in line.rails},
                "temperatures_mc": line.temperatures,
                "gpu_percent": None if line.gpu is None else line.gpu.load,
                "gpu_mhz": None if line.gpu is None else list(line.gpu.mhz),
                "emc_percent": None if line.emc is None else line.emc.load,
                "emc_mhz": None if line.emc is None else list(line.emc.mhz),
            }
        return found


def jetpack(l4t: str | None) -> str | None:
    """The JetPack of a release of L4T (`36.4.3`): its first number, None where that is not known."""
    first = (l4t or "").partition(".")[0]
    if not first.isdigit():
        return None
    return next((name for low, high, name in _JETPACK if low <= int(first) < high), None)
