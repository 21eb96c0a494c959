"""A line of tegrastats, in every shape known from JetPack 4 to 7.

In: one line. Out: `Line`. Guarantee: never raises; what the line does not say is None, never 0; words that are not
understood are skipped and kept in `unknown`; offline cores have neither load nor clock; a temperature of −256 °C
(powered off) and the dummies PMIC at 100 °C and 50 °C are left out, and so are rails named NC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_STAMP = re.compile(r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d ?")
_RAM = re.compile(r"RAM (\d+)/(\d+)MB(?: ?\(lfb (\d+)x(\d+)MB\))?(?= |$)")
_SWAP = re.compile(r"SWAP (\d+)/(\d+)MB(?: ?\(cached \d+MB\))?(?= |$)")
_IRAM = re.compile(r"IRAM \d+/\d+kB(?: ?\(lfb \d+kB\))?(?= |$)")
_CPU = re.compile(r"(?:CPU|cpu) \[([^\]]*)\](?:@(\d+))?(?= |$)")
_CORE = re.compile(r"(?:(\d+)%)?(?:@(\d+))?")
_TEMPERATURE = re.compile(r"([A-Za-z][\w.-]*)@(-?\d+(?:\.\d+)?)C(?:/-?\d+(?:\.\d+)?C)?(?= |$)")
_RAIL = re.compile(r"([A-Za-z]\w*) (\d+)(?:mW)?/(\d+)(?:mW)?(?:/(\d+)(?:mW)?)?(?= |$)")
_ENGINE = re.compile(
    r"([A-Za-z]\w*) (?:(?P<off>off)|(?:(?P<load>\d+)%)?@(?:(?P<mhz>\d+)|\[(?P<list>[\d,]+)\])"
    r"|(?P<only>\d+)%|(?P<bare>\d+))(?= |$)"
)
_DUMMY_PMIC = (100_000, 50_000)
_OFF = -256_000


@dataclass(frozen=True, slots=True)
class Core:
    """One core: load in %, clock in MHz; both None and not `online` for one that is off."""

    online: bool
    load: int | None
    mhz: int | None


@dataclass(frozen=True, slots=True)
class Rail:
    """A rail in mW: now, the mean since tegrastats began, and (JetPack 7) the peak."""

    name: str
    now: int
    average: int
    peak: int | None


@dataclass(frozen=True, slots=True)
class Engine:
    """A unit: load in % (None: not said), clocks in MHz (empty: not said); not `on` where it says so."""

    on: bool
    load: int | None
    mhz: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says. Memory in bytes, temperatures in m°C by lower-case zone."""

    ram: tuple[int, int] | None = None
    swap: tuple[int, int] | None = None
    cores: tuple[Core, ...] = ()
    temperatures: dict[str, int] = field(default_factory=dict)
    rails: tuple[Rail, ...] = ()
    engines: dict[str, Engine] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def gpu(self) -> Engine | None:
        """GR3D_FREQ, GR3D before."""
        return self.engines.get("GR3D")

    @property
    def emc(self) -> Engine | None:
        """EMC_FREQ, EMC before: None without root."""
        return self.engines.get("EMC")


def parse(text: str) -> Line:
    """What one line says."""
    ram = swap = None
    cores: tuple[Core, ...] = ()
    temperatures: dict[str, int] = {}
    rails: list[Rail] = []
    engines: dict[str, Engine] = {}
    unknown: list[str] = []
    text = " ".join(text.split())
    stamp = _STAMP.match(text)
    at = stamp.end() if stamp else 0
    while at < len(text):
        # A processor before a rail: Xavier has both `CPU [` and `CPU 618/618`.
        if found := _RAM.match(text, at):
            ram = (int(found[1]) << 20, int(found[2]) << 20)
        elif found := _SWAP.match(text, at):
            swap = (int(found[1]) << 20, int(found[2]) << 20)
        elif found := _IRAM.match(text, at):
            pass  # a scratch memory of 256 kB that no model sees
        elif found := _CPU.match(text, at):
            cores = tuple(_core(word, found[2]) for word in found[1].split(","))
        elif found := _TEMPERATURE.match(text, at):
            _note(temperatures, found[1].lower(), round(float(found[2]) * 1000))
        elif found := _RAIL.match(text, at):
            if found[1].upper() != "NC":
                rails.append(Rail(found[1], int(found[2]), int(found[3]), int(found[4]) if found[4] else None))
        elif found := _ENGINE.match(text, at):
            engines[found[1].upper().removesuffix("_FREQ")] = _engine(found)
        else:
            end = text.find(" ", at)
            end = len(text) if end < 0 else end
            unknown.append(text[at:end])
            at = end + 1
            continue
        at = found.end() + 1
    return Line(ram, swap, cores, temperatures, tuple(rails), engines, tuple(unknown))


def _core(word: str, shared: str | None) -> Core:
    found = _CORE.fullmatch(word.strip())
    if found is None or not (found[1] or found[2]):
        return Core(online=False, load=None, mhz=None)
    clock = found[2] or shared
    return Core(online=True, load=int(found[1]) if found[1] else None, mhz=int(clock) if clock else None)


def _engine(found: re.Match[str]) -> Engine:
    if found["off"]:
        return Engine(on=False, load=None, mhz=())
    load = found["load"] or found["only"]
    clocks = found["list"] or found["mhz"] or found["bare"] or ""
    return Engine(on=True, load=int(load) if load else None, mhz=tuple(int(mhz) for mhz in clocks.split(",") if mhz))


def _note(temperatures: dict[str, int], zone: str, value: int) -> None:
    if value != _OFF and not (zone == "pmic" and value in _DUMMY_PMIC):
        temperatures[zone] = value
