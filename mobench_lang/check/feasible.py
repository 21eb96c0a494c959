"""What cannot work, found before any device is touched.

In: the evaluated axes and the cells that are left. Out: reports, at the line that asks for it. Guarantee: only
combinations that would be measured are reported; what is not known is not guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain, islice, product
from math import prod
from pathlib import Path

from mobench_lang import ir
from mobench_lang.battery import battery
from mobench_lang.check import instruments, messages, units
from mobench_lang.check.axes import Axes, bound_entity
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.functions import locked_file, size_of
from mobench_lang.check.instruments import Find
from mobench_lang.check.units import Qty
from mobench_lang.check.values import Ent, Folder, Rec, Val, Word, label, to_ir
from mobench_lang.diagnostics import Diagnostic
from mobench_lang.lockfile import LocalFile
from mobench_lang.matrix import Vector, expand, picker
from mobench_lang.metrics import metrics
from mobench_lang.pauses import TIMED, declared
from mobench_lang.source import Span
from mobench_lang.syntax import ast

READINGS = 30  # fewer distinct readings in a window say nothing about its energy
DEFAULT_TIMEOUT_NS = 600_000_000_000
MAX_TRIED = 200_000
"""Combinations of axes that one rule looks at."""


@dataclass
class Waiting:
    """What is wrong with some combinations of axes, if a cell has them; `pick` takes them out of a cell."""

    pick: Callable[[Vector], Vector]
    suspects: dict[Vector, Diagnostic]


def _entities(axes: Axes, role: str) -> list[Ent]:
    table = axes.tables.get(role)
    return [v for v in table.values if isinstance(v, Ent)] if table is not None and not table.broken else []


def metric(ev: Evaluator, axes: Axes, name: ast.Name) -> None:
    """A required metric must be delivered by the engine or the target of every device."""
    for device in _entities(axes, "device"):
        target = ev.schema.targets.get(device.pack)
        if target is None or name.text in target.metrics:
            continue
        if any(name.text in m.metrics for m in ev.schema.engines.values()):
            continue
        ev.tell(
            messages.capabilities.metric_not_delivered(
                name.span, name.text, device.name, device.pack, ev.schema.targets_with(name.text)
            )
        )
        return


def condition(ev: Evaluator, axes: Axes, attr: ast.Attr, value: Val) -> None:
    """A required condition must be one that every target can set, and must not cut a device off."""
    key = attr.name.text
    able = sorted(n for n, m in ev.schema.targets.items() if key in m.conditions)
    for device in _entities(axes, "device"):
        target = ev.schema.targets.get(device.pack)
        if target is None:
            continue
        if not attr.optional and key not in target.conditions:
            ev.tell(messages.capabilities.condition_not_settable(attr.name.span, key, device.name, device.pack, able))
            return
        for conflict in target.conflicts:
            address = device.attrs.get(conflict.attribute)
            if (conflict.condition, conflict.value) != (key, label(value)) or not isinstance(address, str | Word):
                continue
            if re.search(conflict.pattern, label(address)):
                where = device.spans.get(conflict.attribute)
                ev.tell(messages.capabilities.airplane_conflict(attr.span, conflict, device.name, where))
                return


def sensor(ev: Evaluator, axes: Axes, span: Span) -> None:
    """A thermal limit needs a temperature on the target of every device."""
    for device in _entities(axes, "device"):
        target = ev.schema.targets.get(device.pack)
        if target is not None and not any(name.endswith("_temp") for name in target.metrics):
            ev.tell(messages.procedure.no_gate_sensor(span, device.name, device.pack))
            return


# ---------------------------------------------------------------- time


def timeout(ev: Evaluator, axes: Axes, protocol: ir.Protocol, written: tuple[Val, Span] | None) -> ir.Protocol:
    """The protocol with its time-out resolved; a written one must leave room for the declared pauses."""
    passes = protocol.repeat if protocol.isolation == "cell" else 1  # a warm-up pass neither pauses nor repeats
    workloads = _entities(axes, "workload")
    bound = _longest(axes)
    need = {w.name: declared(to_ir(w), bound).whole * passes for w in workloads}
    if written is None:
        longest = DEFAULT_TIMEOUT_NS + max(need.values(), default=0)
        return replace(protocol, timeout_ns=longest)
    if isinstance(written[0], Qty):
        for name, least in need.items():
            if least > protocol.timeout_ns:
                shown = units.show(Qty(Decimal(least), "ns"))
                ev.tell(messages.procedure.timeout_too_short(written[1], units.show(written[0]), shown, name))
                break
    return protocol


def _longest(axes: Axes) -> dict[str, ir.Value]:
    """The largest of what axes bind of a workload's times."""
    tables = [t for t in axes.tables.values() if t.binds in TIMED and not t.broken]
    values = {t.binds.split(".")[1]: [v for v in t.values if isinstance(v, Qty)] for t in tables}
    return {k: to_ir(max(v, key=lambda q: q.value)) for k, v in values.items() if v}


# ---------------------------------------------------------------- combinations


def combinations(ev: Evaluator, axes: Axes, bench: ir.Bench, asked: Iterable[ast.Name]) -> None:
    """Engine × quant, engine × target, context, RAM, and what a chosen instrument can do, for the combinations that are
    left. `asked` are the metrics that must be measured."""
    waiting: list[Waiting] = []
    for role_names, attributes, find in (
        *instruments.rules(ev, axes, asked),
        (("engine", "quant"), "", _quant),
        (("engine", "device"), "", _target),
        (("model", "workload", "engine"), "depth prompt output n_ctx", _context),
        (("model", "quant", "device"), "ram", _ram),
        (("model", "device"), "ram", _ram_as_published(axes)),
        (("device",), "meter", _meter),
        (("device", "workload"), "meter duration", _window(bench)),
    ):
        names = [n for n in role_names if n in axes.tables]
        if len(names) < len(role_names):
            continue
        roles = [axes.order.index(n) for n in names]
        bound = {f"{name}.{attribute}" for name in names for attribute in attributes.split()}
        binding = [i for i, t in enumerate(axes.tables.values()) if t.binds in bound]
        suspects = _suspects(ev, axes, roles, binding, find)
        if suspects:
            waiting.append(Waiting(picker((*roles, *binding)), suspects))
    _report(ev, bench, waiting)
    _storage(ev, axes, bench)
    _sources(ev, axes, bench)


def _suspects(
    ev: Evaluator, axes: Axes, roles: list[int], binding: list[int], find: Find
) -> dict[tuple[int, ...], Diagnostic]:
    """The combinations of values, whether reached or not, that something is wrong with."""
    tables = list(axes.tables.values())
    found: dict[tuple[int, ...], Diagnostic] = {}
    lengths = [len(tables[i].values) for i in [*roles, *binding]]
    if prod(lengths) > MAX_TRIED:
        names = [tables[i].name.text for i in [*roles, *binding]]
        ev.tell(messages.capabilities.not_all_tried(tables[roles[0]].name.span, names, prod(lengths), MAX_TRIED))
    for key in islice(product(*map(range, lengths)), MAX_TRIED):
        values = [tables[i].values[k] for i, k in zip(roles, key, strict=False)]
        for axis, k in zip(binding, key[len(roles) :], strict=True):
            role, attribute = tables[axis].binds.split(".")
            at = [axes.order[i] for i in roles].index(role)
            owner = values[at]
            if isinstance(owner, Ent):
                values[at] = bound_entity(owner, attribute, tables[axis].values[k])
        spans = [tables[i].places[k] for i, k in zip(roles, key, strict=False)]
        fault = find(ev, values, spans)
        if fault is not None:
            found[key] = fault
    return found


def _report(ev: Evaluator, bench: ir.Bench, waiting: list[Waiting]) -> None:
    """Report the suspects that a cell really has, each fault of a place once, in the order of the checks."""
    found: list[list[Diagnostic]] = [[] for _ in waiting]
    open_ones = list(zip(waiting, found, strict=True))
    for vector in expand(bench) if open_ones else ():
        for one, faults in open_ones:
            fault = one.suspects.pop(one.pick(vector), None)
            if fault is not None:
                faults.append(fault)
                open_ones = [(w, f) for w, f in open_ones if w.suspects]
        if not open_ones:
            break
    told: set[tuple[Span, str]] = set()
    for fault in chain.from_iterable(found):
        if (fault.span, fault.code) not in told:
            told.add((fault.span, fault.code))
            ev.tell(fault)


def _quant(ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
    engine, quant = values
    if not isinstance(engine, Ent) or not isinstance(quant, Word):
        return None
    manifest = ev.schema.engines.get(engine.pack)
    if manifest is None or quant.text in manifest.quants:
        return None
    return messages.capabilities.quant_not_run(spans[1], engine.name, quant.text, manifest.quants)


def _target(ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
    engine, device = values
    if not isinstance(engine, Ent) or not isinstance(device, Ent):
        return None
    manifest = ev.schema.engines.get(engine.pack)
    if manifest is None or not manifest.targets or device.pack in manifest.targets:
        return None
    return messages.capabilities.engine_not_on_target(spans[0], engine.name, device.pack, manifest.targets)


def _context(_ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
    model, workload, engine = values
    if not (isinstance(model, Ent) and isinstance(workload, Ent) and isinstance(engine, Ent)):
        return None
    limits = [
        (v, n)
        for v, n in ((model.attrs.get("context"), model.name), (engine.attrs.get("n_ctx"), engine.name))
        if isinstance(v, int)
    ]
    if not limits:
        return None
    limit, owner = min(limits)
    parts = {k: v for k in ("depth", "prompt", "output") if isinstance(v := workload.attrs.get(k), int) and v}
    need = sum(parts.values())
    if need <= limit:
        return None
    detail = " + ".join(f"{k} {v}" for k, v in parts.items())
    return messages.capabilities.context_too_small(spans[1], owner, limit, workload.name, need, detail)


def _ram(ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
    model, quant, device = values
    if not (isinstance(model, Ent) and isinstance(quant, Word) and isinstance(device, Ent)):
        return None
    size, ram = size_of(ev, model, quant.text), device.attrs.get("ram")
    if not isinstance(size, Qty) or not isinstance(ram, Qty) or size.value <= ram.value:
        return None
    return messages.capabilities.ram_too_small(
        spans[0], model.name, quant.text, _bytes(size), device.name, units.show(ram)
    )


def _ram_as_published(axes: Axes) -> Find:
    """What finds a model that does not fit where no quant is chosen; its size is known if its file is locked."""

    def find(ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
        model, device = values
        if "quant" in axes.tables or not (isinstance(model, Ent) and isinstance(device, Ent)):
            return None
        size, ram = size_of(ev, model, None), device.attrs.get("ram")
        if not isinstance(size, Qty) or not isinstance(ram, Qty) or size.value <= ram.value:
            return None
        return messages.capabilities.ram_too_small(spans[0], model.name, "", _bytes(size), device.name, units.show(ram))

    return find


def _bytes(size: Qty) -> str:
    unit, power = ("GiB", 30) if size.value >= 2**29 else ("MiB", 20)
    return f"{size.value / Decimal(2**power):.1f}{unit}"


def _meter(_ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
    (device,) = values
    if not isinstance(device, Ent) or not isinstance(meter := device.attrs.get("meter"), Ent):
        return None
    targets = meter.attrs.get("targets")
    if not isinstance(targets, tuple) or device.pack in targets:
        return None
    return messages.capabilities.meter_not_on_target(
        device.spans.get("meter", spans[0]), meter.name, device.pack, [label(t) for t in targets]
    )


def _window(bench: ir.Bench) -> Find:
    """What finds a meter that reads too seldom for the windows of a workload with a declared duration."""
    measured = [metrics()[m.name] for m in bench.metrics]
    energy = any({"energy", "power"} & set(m.channels) or m.dimension == "energy per token" for m in measured)

    def find(_ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
        device, workload = values
        if not energy or not isinstance(device, Ent) or not isinstance(workload, Ent):
            return None
        meter, duration = device.attrs.get("meter"), workload.attrs.get("duration")
        interval = meter.attrs.get("interval") if isinstance(meter, Ent) else None
        if not isinstance(meter, Ent) or not isinstance(interval, Qty) or not isinstance(duration, Qty):
            return None
        if interval.value * READINGS <= duration.value:
            return None
        where = device.spans.get("meter", spans[0])
        return messages.capabilities.meter_too_slow(
            where, meter.name, units.show(interval), units.show(duration), workload.name
        )

    return find


def _storage(ev: Evaluator, axes: Axes, bench: ir.Bench) -> None:
    """The weights that a device needs, as far as their sizes are known, must fit its free storage."""
    devices = axes.tables["device"]
    if not any("storage" in d.attrs for d in devices.values if isinstance(d, Ent)):
        return
    needed: dict[int, set[tuple[int, int]]] = {}
    for reached, m, q in _reached(axes, bench, "device", "model", "quant"):
        needed.setdefault(reached, set()).add((m, q))
    for number, pairs in sorted(needed.items()):
        owner = devices.values[number]
        room = owner.attrs.get("storage") if isinstance(owner, Ent) else None
        if not isinstance(owner, Ent) or not isinstance(room, Qty):
            continue
        sizes = [
            size_of(ev, model, _quant_of(axes, q))
            for m, q in sorted(pairs)
            if isinstance(model := axes.tables["model"].values[m], Ent)
        ]
        total = sum((s.value for s in sizes if isinstance(s, Qty)), Decimal(0))
        if total > room.value:
            where = owner.spans.get("storage", devices.places[number])
            ev.tell(
                messages.capabilities.storage_too_small(where, owner.name, _bytes(Qty(total, "B")), units.show(room))
            )


def charge(ev: Evaluator, axes: Axes, bench: ir.Bench, charger: Span | None) -> None:
    """A run off the charger should fit between a full battery and the declared floor."""
    conditions = {c.name: c.value for c in bench.conditions}
    devices = axes.tables["device"].values
    if (
        charger is None
        or conditions.get("charger") != "off"
        or not any("battery" in d.attrs for d in devices if isinstance(d, Ent))
    ):
        return
    timed = [t for t in axes.tables.values() if t.binds in TIMED]
    work = Counter(_reached(axes, bench, "device", "workload", *(t.name.text for t in timed)))
    loads = [to_ir(w) for w in axes.tables["workload"].values]
    protocol = bench.protocol
    per_cell = 1 if protocol.isolation == "cell" else protocol.repeat
    for number, device in enumerate(devices):
        computing, waiting, cells = 0, 0, 0
        for (owner, load, *bound), count in work.items():
            if owner == number:
                one = declared(
                    loads[load], {t.binds.split(".")[1]: to_ir(t.values[k]) for t, k in zip(timed, bound, strict=True)}
                )
                computing, waiting = (
                    computing + count * protocol.repeat * one.computing,
                    waiting + count * protocol.repeat * one.waiting,
                )
                cells += count
        waiting += max(cells * per_cell - 1, 0) * protocol.cooldown_ns
        found = battery(to_ir(device), computing, waiting, 0, conditions.get("battery_floor"))
        if isinstance(device, Ent) and found.least is not None and found.is_too_small:
            ev.tell(
                messages.procedure.battery_too_small(
                    charger, device.name, found.least, found.floor, device.spans.get("battery")
                )
            )


def _reached(axes: Axes, bench: ir.Bench, *names: str) -> Iterator[tuple[int, ...]]:
    """The values of some axes that each cell has, by number; -1 for an axis that is not there."""
    pick = picker(tuple(axes.order.index(n) for n in names if n in axes.tables))
    missing = [i for i, n in enumerate(names) if n not in axes.tables]
    for vector in map(pick, expand(bench)):
        key = list(vector)
        for at in missing:
            key.insert(at, -1)
        yield tuple(key)


def _quant_of(axes: Axes, number: int) -> str | None:
    value = axes.tables["quant"].values[number] if number >= 0 else None
    return value.text if isinstance(value, Word) else None


def _is_other(path: Path, locked: LocalFile) -> bool:
    """Whether a file is there with another content than the locked one."""
    from mobench_lang.digests import sha256

    try:
        return path.stat().st_size != locked.size or sha256(path) != locked.sha256
    except OSError:
        return False


def _sources(ev: Evaluator, axes: Axes, bench: ir.Bench) -> None:
    """A file that is missing or changed and an unpinned revision are warnings here, and errors under `--locked` and at
    exec. A source is pinned if it names a revision, or if what its cells need is locked."""
    table = axes.tables["model"]
    needed: dict[int, set[int]] = {}
    if any(_floats(m) for m in table.values):
        for reached, quant in _reached(axes, bench, "model", "quant"):
            needed.setdefault(reached, set()).add(quant)
    for number, (model, place) in enumerate(zip(table.values, table.places, strict=True)):
        source = model.attrs.get("source") if isinstance(model, Ent) else None
        if not isinstance(model, Ent) or not isinstance(source, Rec):
            continue
        file, folder = source.fields.get("file"), source.fields.get("folder")
        if source.fields["kind"] == "path" and isinstance(file, str) and isinstance(folder, Folder):
            path = (folder.path or Path()) / file
            try:
                exists = path.is_file()
            except OSError:
                exists = False
            locked = ev.lock.local(folder.path, file)
            if not exists:
                ev.tell(messages.capabilities.missing_model_file(place, file, _elsewhere(model, place)))
            elif locked is not None and _is_other(path, locked):
                ev.tell(messages.capabilities.changed_model_file(place, file, _elsewhere(model, place)))
        if _floats(model):
            quants = [_quant_of(axes, q) for q in sorted(needed.get(number, ()))]
            if any(locked_file(ev.lock, model, q) is None for q in quants):
                ev.tell(messages.capabilities.unpinned(place, model.name, _elsewhere(model, place)))


def _floats(model: Val) -> bool:
    """Whether a model is whatever the hub has today."""
    source = model.attrs.get("source") if isinstance(model, Ent) else None
    return isinstance(source, Rec) and source.fields["kind"] == "hf" and source.fields.get("rev") is None


def _elsewhere(model: Ent, place: Span) -> Span | None:
    """Where the source of a model is written, if that is not the place itself."""
    written = model.spans.get("source")
    return written if written is not None and written != place else None
