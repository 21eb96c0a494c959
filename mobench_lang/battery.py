"""What a run takes out of a battery: bounds from what a spec declares, never a guess.

In: a device of the IR, the time it is to measure. Out: shares of a full battery. Guarantee: the least is what the
declared durations take at `load_draw` and the declared pauses at `idle_draw`, the most is the longest time at
`load_draw`; what is not declared bounds nothing, and is named. No draw of the engine's own work is assumed.
"""

from __future__ import annotations

from decimal import Decimal

from mobench_lang.frozen import frozen
from mobench_lang.ir import Entity, Quantity, Value

CELL_VOLTS = Decimal("3.85")  # nominal, of a lithium-ion cell: what turns `mAh` into energy


@frozen
class Battery:
    """One device's share of a run off its charger.

    `capacity_j` is the energy of a full battery in J; `least` and `most` are shares of it (1.0: one full battery),
    `floor` the level below which no launch starts. None: not known, for want of the attributes that `missing` names.
    """

    capacity_j: float | None
    least: float | None
    most: float | None
    floor: float
    missing: tuple[str, ...]

    @property
    def is_too_small(self) -> bool:
        """True if even the least does not fit between full and the floor."""
        return self.least is not None and self.least > 1 - self.floor


def battery(device: Value, computing_ns: int, waiting_ns: int, most_ns: int, floor: Value) -> Battery:
    """The bounds for one device. Nothing declared that takes time gives a least of 0."""
    full = _capacity(device)
    load, idle = _get(device, "load_draw", "µW"), _get(device, "idle_draw", "µW")
    missing = [k for k, v in (("battery", full), ("load_draw", load)) if v is None]
    if idle is None and waiting_ns:
        missing.append("idle_draw")
    least = (load or idle or 0) * computing_ns + (idle or 0) * waiting_ns
    return Battery(
        capacity_j=None if full is None else float(full / 10**6),
        least=_share(least, full) if load is not None or idle is not None else None,
        most=None if load is None else _share(load * most_ns, full),
        floor=float(floor.value) if isinstance(floor, Quantity) else 0.0,
        missing=tuple(missing),
    )


def _share(energy: Decimal | int, full: Decimal | None) -> float | None:
    """µW × ns as a share of a full battery in µJ."""
    return float(Decimal(energy) / 10**9 / full) if full else None


def _capacity(device: Value) -> Decimal | None:
    """Energy of a full battery in µJ."""
    charge = _get(device, "battery", "µAh")
    return charge * CELL_VOLTS * 3600 if charge is not None else _get(device, "battery", "µJ")


def _get(device: Value, key: str, unit: str) -> Decimal | None:
    value = device.get(key) if isinstance(device, Entity) else None
    return value.value if isinstance(value, Quantity) and value.unit == unit else None
