"""Units: from the text of a unit to a dimension and an exact number in its base unit, and back.

In: unit texts (`800` `ms`). Out: `Qty`, an exact decimal in the base unit of its dimension, and canonical texts.
Guarantee: no float is involved; a value printed by `show` reads back as the same value. `m°C` is affine (a point on a
scale), `mK` is a difference; the two are different dimensions.
"""

from __future__ import annotations

from decimal import Context, Decimal

from mobench_lang.frozen import frozen

# Enough digits for every product of two literals in practice; overflow raises and becomes a diagnostic.
ARITHMETIC = Context(prec=34, Emax=99, Emin=-99)


@frozen
class Dimension:
    """A kind of quantity: how people call it, its base unit, and the units that are accepted, smallest first."""

    name: str
    article: str
    base: str
    units: tuple[tuple[str, Decimal], ...]

    @property
    def spoken(self) -> str:
        """`a duration`, `an energy`."""
        return f"{self.article} {self.name}"


def _dimension(name: str, article: str, base: str, **units: str) -> Dimension:
    return Dimension(name, article, base, tuple((u, Decimal(f)) for u, f in units.items()))


def _of(name: str, article: str, base: str, units: dict[str, str]) -> Dimension:
    return Dimension(name, article, base, tuple((u, Decimal(f)) for u, f in units.items()))


DURATION = _dimension("duration", "a", "ns", ns="1", us="1e3", ms="1e6", s="1e9", min="6e10", h="3.6e12")
SIZE = _dimension("size", "a", "B", B="1", kB="1e3", KiB="1024", MB="1e6", MiB="1048576", GB="1e9", GiB="1073741824")
TEMPERATURE = _of("temperature", "a", "m°C", {"°C": "1e3"})
DIFFERENCE = _of("temperature difference", "a", "mK", {"K": "1e3"})
POWER = _dimension("power", "a", "µW", mW="1e3", W="1e6")
ENERGY = _dimension("energy", "an", "µJ", mJ="1e3", J="1e6", mWh="3.6e6", Wh="3.6e9")
CHARGE = _dimension("charge", "a", "µAh", mAh="1e3")
FREQUENCY = _dimension("frequency", "a", "Hz", Hz="1", kHz="1e3", MHz="1e6", GHz="1e9")
TOKENS = _dimension("number of tokens", "a", "tok", tok="1")
RATE = _of("rate", "a", "tok/s", {"tok/s": "1"})
PER_TOKEN = _of("energy per token", "an", "µJ/tok", {"J/tok": "1e6"})
RATIO = _of("ratio", "a", "1", {"%": "0.01"})
POINTS = _dimension("difference of ratios", "a", "pp", pp="1")

DIMENSIONS = {
    d.base: d
    for d in (
        DURATION, SIZE, TEMPERATURE, DIFFERENCE, POWER, ENERGY, CHARGE, FREQUENCY, TOKENS, RATE, PER_TOKEN, RATIO,
        POINTS,
    )
}  # fmt: skip

_ALIASES = {"µs": "us", "μs": "us", "C": "°C"}
_UNITS = {unit: (d, factor) for d in DIMENSIONS.values() for unit, factor in d.units}


@frozen
class Qty:
    """An exact number in the base unit of its dimension."""

    value: Decimal
    base: str

    @property
    def dimension(self) -> Dimension:
        """The dimension that the base unit stands for."""
        return DIMENSIONS[self.base]


def read(value: Decimal, unit: str) -> Qty:
    """The quantity of a number and a unit's text, which the grammar has already accepted."""
    dimension, factor = _UNITS[_ALIASES.get(unit, unit)]
    return Qty(ARITHMETIC.multiply(value, factor), dimension.base)


def number(value: Decimal) -> str:
    """A decimal without exponent and trailing zeros."""
    text = format(value.normalize(ARITHMETIC), "f")
    return "0" if text in ("-0", "") else text


def show(qty: Qty) -> str:
    """The canonical text: the largest unit in which the number is whole, else the smallest unit of the dimension."""
    if qty.base == "1":
        return number(ARITHMETIC.multiply(qty.value, Decimal(100))) + "%"
    units = qty.dimension.units
    for unit, factor in reversed(units):
        scaled = ARITHMETIC.divide(qty.value, factor)
        if scaled == scaled.to_integral_value() and (qty.value or factor == units[0][1]):
            return number(scaled) + unit
    unit, factor = units[0]
    return number(ARITHMETIC.divide(qty.value, factor)) + unit


def examples(dimension: Dimension, value: Decimal) -> tuple[str, ...]:
    """Two ways to write a bare number with a unit of the dimension: what the author most likely meant first."""
    likely = {"ns": ("s", "min"), "B": ("GiB", "MiB"), "Hz": ("Hz", "MHz"), "µJ": ("J", "mWh"), "µW": ("W", "mW")}
    units = likely.get(dimension.base) or tuple(u for u, _ in dimension.units)[:2]
    if dimension is DURATION and value >= 100:
        units = ("ms", "s")  # hundreds are meant as milliseconds more often than as minutes
    return tuple(number(value) + u for u in units)
