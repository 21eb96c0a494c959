"""What load does to a virtual phone: power, current, voltage, charge, rails, heat, throttling.

In: a profile, the state before, how many CPUs were busy for how long. Out: the state after. Pure: no clock, no files.
The model is first order throughout; it is there so that values move as they do on a phone, and stands for none.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

from mobench_targets.android.virtual.profile import Profile

DRAWN = struct.Struct("<qdd")
"""What the phone draws, as a virtual meter reads it in `power.bin`: the phone's clock in ns, mW, mV."""


@dataclass(frozen=True, slots=True)
class State:
    """The physics of a phone at one time: mW, mA out of the battery (negative while it is charged), mV, mAh, °C, and
    the energy of each rail in µJ. `limit` is the share of the maximum frequency that heat leaves."""

    power: float
    current: float
    voltage: float
    charge: float
    soc: float
    skin: float
    battery: float
    rails: tuple[float, ...]
    busy: float = 0.0
    limit: float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """What stands around the phone: °C, a factor on heating, screen, charger connected, charging suspended, and the
    share of the maximum frequency that it may have, however cool it is."""

    ambient: float
    speed: float = 1.0
    screen: bool = True
    plugged: bool = True
    suspended: bool = False
    limit: float = 1.0


def first(profile: Profile, world: World, level: float) -> State:
    """A phone that lay there long enough to have the temperature of its surroundings."""
    charge = profile.battery.capacity_mah * level / 100
    at = world.ambient
    return step(profile, State(0, 0, 3900, charge, at, at, at, (0.0,) * len(profile.rails)), world, 0.0, 0.0)


def level(profile: Profile, state: State) -> float:
    """The charge in %."""
    return 100 * state.charge / profile.battery.capacity_mah


def step(profile: Profile, before: State, world: World, seconds: float, busy: float) -> State:
    """The state after some seconds in which so many CPUs were busy."""
    p, battery = profile.power, profile.battery
    rest = p.idle_mw + (p.screen_mw if world.screen else 0)
    added = p.core_mw * busy * before.limit
    power = rest + added
    share = before.charge / battery.capacity_mah
    current = power / (before.voltage / 1000)
    if world.plugged and not world.suspended and share < 1:
        current -= min(current + battery.charger_ma, 2 * battery.charger_ma)  # the charger feeds the phone, too
    # The open-circuit voltage of a lithium cell, as a line, less what its resistance of 80 mΩ takes.
    voltage = 3500 + 700 * share - 0.08 * current
    hotter = world.speed * seconds
    soc = _towards(before.soc, before.skin + added / 1000 * p.soc_k_per_w, hotter / p.soc_tau_s)
    skin = _towards(before.skin, world.ambient + power / 1000 * p.skin_k_per_w, hotter / p.skin_tau_s)
    cell = _towards(before.battery, world.ambient + power / 1000 * p.skin_k_per_w * 0.8, hotter / (2 * p.skin_tau_s))
    over = (soc - p.throttle_from) / (p.throttle_to - p.throttle_from)
    rails = tuple(
        energy + (rest * rail.idle + added * rail.load) * seconds * 1000
        for energy, rail in zip(before.rails, profile.rails, strict=True)
    )
    return replace(
        before,
        power=power,
        current=current,
        voltage=voltage,
        charge=min(max(before.charge - current * seconds / 3600, 0.0), battery.capacity_mah),
        soc=soc,
        skin=skin,
        battery=cell,
        rails=rails,
        busy=busy,
        limit=min(world.limit, 1 - (1 - p.throttle_least) * min(max(over, 0.0), 1.0)),
    )


def _towards(value: float, goal: float, share: float) -> float:
    return goal + (value - goal) * math.exp(-share)


def severity(profile: Profile, state: State) -> int:
    """Android's thermal status, 0 (none) to 3 (severe)."""
    lost = 1 - state.limit
    return 0 if lost <= 0 else 1 if lost < 0.2 else 2 if lost < 0.4 or profile.power.throttle_least > 0.6 else 3
