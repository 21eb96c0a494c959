"""`samples.jsonl`: what the sampler read during one launch.

In: the file of a trial folder. Out: `Samples`, one matrix of raw integers. Guarantee: rows in order of time; a torn
tail or broken rows set `damaged` and cost only themselves. The file is parsed as one JSON array: row by row costs
four times more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mobench_lang.collect.channels import channel
from mobench_lang.collect.lines import whole_lines
from mobench_lang.collect.records import MISSING, NO_SAMPLES, Ints, Samples


def read_samples(path: Path, wraps: Mapping[str, int] = MappingProxyType({})) -> Samples:
    """The samples of a file; a missing or headless file has none. `wraps` says where counters begin anew, by
    channel."""
    lines, damaged = whole_lines(path)
    objects, broken = _parse(lines)
    heads = [o for o in objects if o.get("e") == "channels"]
    if not heads:
        return NO_SAMPLES
    head = heads[0]
    names, units, sources = (head.get(k, []) for k in ("channels", "units", "sources"))
    channels = tuple(
        replace(channel(str(n), str(u), str(s)), wraps=wraps.get(str(n)))
        for n, u, s in zip(names, units, sources, strict=False)
    )
    t, raw, bad = _matrix([o for o in objects if o.get("e") == "s"], len(channels))
    order = np.argsort(t, kind="stable")
    cost: dict[str, Any] = next((o for o in reversed(objects) if o.get("e") == "cost"), {})
    return Samples(
        channels=channels,
        hz=float(head.get("hz", 0.0)),
        t=t[order],
        raw=raw[order],
        cpu_ns=cost.get("cpu_ns"),
        wall_ns=cost.get("wall_ns"),
        damaged=damaged or broken or bad,
        states=_states(cost, len(channels)) or _states(head, len(channels)),
    )


def _states(line: dict[str, Any], width: int) -> tuple[str, ...]:
    """How each channel's file answered, as a line of the file tells it; nothing where it tells something else."""
    told = line.get("states")
    return tuple(map(str, told)) if isinstance(told, list) and len(told) == width else ()


def _parse(lines: list[bytes]) -> tuple[list[dict[str, Any]], bool]:
    try:
        found = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        found = [_object(line) for line in lines]
    objects = [o for o in found if isinstance(o, dict)]
    return objects, len(objects) != len(lines)


def _object(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _matrix(rows: list[dict[str, Any]], width: int) -> tuple[Ints, Ints, bool]:
    """Times and raw values; the last result is True if rows had to be left out."""
    try:
        t = np.fromiter((r["t"] for r in rows), np.int64, len(rows))
        values = [r["v"] for r in rows]
        if all(len(v) == width for v in values):
            flat = np.fromiter(chain.from_iterable(values), np.int64, len(rows) * width)
            return t, flat.reshape(len(rows), width), False
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    good = [r for r in rows if _is_row(r, width)]
    t = np.fromiter((r["t"] for r in good), np.int64, len(good))
    cells = (MISSING if x is None else x for r in good for x in r["v"])
    return t, np.fromiter(cells, np.int64, len(good) * width).reshape(len(good), width), len(good) != len(rows)


def _is_row(row: dict[str, Any], width: int) -> bool:
    values = row.get("v")
    return (
        _is_int(row.get("t"))
        and isinstance(values, list)
        and len(values) == width
        and all(x is None or _is_int(x) for x in values)
    )


def _is_int(value: Any) -> bool:
    return type(value) is int and -(2**63) < value < 2**63
