"""The order of launches on one physical device.

In: the cells of the device and the protocol. Out: slots, lazily. Guarantee: a pure function of seed, cell ids and
protocol.

`randomized` runs complete blocks: block r holds repetition r of every cell once, in an order of its own. A cell's
place in a block is decided by a hash of seed, block and cell id, so cells that a plan gains or loses never reorder
the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mobench_lang.ir import Order
from mobench_lang.plan.model import PlanProtocol


@dataclass(frozen=True, slots=True)
class Slot:
    """One launch to make: a cell (its number in the build), the repetition it measures (the first of `measured` of them
    under `isolation = cell`), its block and its place in the block."""

    block: int
    order: int
    cell: int
    rep: int
    measured: int = 1


def schedule(ids: Sequence[str], cells: Sequence[int], protocol: PlanProtocol) -> Iterator[Slot]:
    """The slots of one device in the order in which they run; `ids` are those of all cells of the plan."""
    if protocol.isolation == "cell":
        for place, cell in enumerate(cells):
            yield Slot(0, place, cell, 0, protocol.repeat)
    elif protocol.order is Order.SEQUENTIAL:
        for place, cell in enumerate(cells):
            for rep in range(protocol.repeat):
                yield Slot(rep, place, cell, rep)
    else:
        for block in range(protocol.repeat):
            for place, cell in enumerate(_block(ids, cells, protocol, block)):
                yield Slot(block, place, cell, block)


def _block(ids: Sequence[str], cells: Sequence[int], protocol: PlanProtocol, block: int) -> Sequence[int]:
    if protocol.order is Order.INTERLEAVED:
        return cells
    prefix = f"{protocol.seed}:{block}:"
    return sorted(cells, key=lambda cell: hashlib.sha256((prefix + ids[cell]).encode()).digest())


def token_seed(seed: int, cell_id: str) -> int:
    """The seed of a cell's random tokens and sampling: every repetition of a cell, on every resume, sends the same."""
    return int.from_bytes(hashlib.sha256(f"tokens:{seed}:{cell_id}".encode()).digest()[:4], "big") & 0x7FFFFFFF
