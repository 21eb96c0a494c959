"""Packets of an HVPM → blocks of current, voltage and power.

In: packets as the unit sends them (docs/targets/android.md, "The Monsoon"), its scales. Out: means over blocks of
`BLOCK` samples by the unit's own count. Guarantee: the power of a block is the mean of its samples' products, so that
nothing of the energy is lost by averaging; a block whose samples were all dropped is missing, never filled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from Monsoon.calibrationData import calibrationData

RATE = 5000
BLOCK = 10
"""10 samples of 5 kHz: 500 rows a second."""
FINE_BELOW = 64_000
MV_PER_TICK = 0.25
PER_PACKET = 3
_ZERO, _REF, _KIND = 0x10, 0x30, 0x30
_CALS = 5

Row = tuple[int, int, int, int]
"""The number of a block's first sample, µA, µV, µW."""


@dataclass(frozen=True, slots=True)
class Scales:
    """What the unit's memory says of its main channel."""

    coarse: float
    coarse_offset: float
    fine: float
    fine_offset: float


@dataclass(slots=True)
class Decoder:
    """Packets in, rows out. `count` is the number of the next sample, dropped ones included."""

    scales: Scales
    count: int = 0
    dropped: int = 0
    _last: int | None = None
    _cal: calibrationData = field(default_factory=lambda: calibrationData(_CALS))
    _block: int = -1
    _sums: np.ndarray = field(default_factory=lambda: np.zeros(4))

    @property
    def ready(self) -> bool:
        """Whether the zero and the reference of both ranges are known."""
        return bool(self._cal.calibrated())

    def take(self, packets: list[bytes]) -> list[Row]:
        """The blocks that these packets complete."""
        numbers: list[int] = []
        raw: list[bytes] = []
        for packet in packets:
            if len(packet) < 4:
                continue
            lost = packet[0] | packet[1] << 8
            new = 0 if self._last is None else (lost - self._last) & 0xFFFF
            self._last = lost
            self.dropped += new * PER_PACKET
            self.count += new * PER_PACKET
            for i in range(min(packet[3], (len(packet) - 4) // 18)):
                numbers.append(self.count)
                raw.append(packet[4 + 18 * i : 22 + 18 * i])
                self.count += 1
        return self._rows(np.array(numbers, np.int64), b"".join(raw)) if raw else []

    def _rows(self, number: np.ndarray, data: bytes) -> list[Row]:
        words = np.frombuffer(data, ">u2").reshape(-1, 9)
        kind = words[:, 8] & _KIND
        for value in words[kind == _ZERO]:
            self._cal.addZeroCal(float(value[0]), True)
            self._cal.addZeroCal(float(value[1]), False)
        for value in words[kind == _REF]:
            self._cal.addRefCal(float(value[0]), True)
            self._cal.addRefCal(float(value[1]), False)
        measured = kind == 0
        if not self.ready or not measured.any():
            return []
        words, number = words[measured].astype(np.float64), number[measured]
        coarse = self._current(words[:, 0], self.scales.coarse, self.scales.coarse_offset, coarse=True)
        fine = self._current(words[:, 1], self.scales.fine / 1000, self.scales.fine_offset, coarse=False)
        ma = np.where(words[:, 1] < FINE_BELOW, fine, coarse)
        mv = words[:, 6] * MV_PER_TICK
        return self._blocks(number // BLOCK, ma, mv)

    def _current(self, raw: np.ndarray, scale: float, offset: float, *, coarse: bool) -> np.ndarray:
        zero = offset + self._cal.getZeroCal(coarse)
        span = self._cal.getRefCal(coarse) - zero
        return np.asarray((raw - zero) * (scale / span if span else 0.0))

    def _blocks(self, block: np.ndarray, ma: np.ndarray, mv: np.ndarray) -> list[Row]:
        found: list[Row] = []
        table = np.stack([np.ones(ma.size), ma, mv, ma * mv], axis=1)
        edges = np.flatnonzero(np.diff(block)) + 1
        for part, at in zip(np.split(table, edges), block[np.concatenate(([0], edges))], strict=True):
            if at != self._block and self._sums[0]:
                n, a, v, p = self._sums
                found.append((self._block * BLOCK, round(a / n * 1e3), round(v / n * 1e3), round(p / n)))
                self._sums = np.zeros(4)
            self._block = int(at)
            self._sums = self._sums + part.sum(axis=0)
        return found
