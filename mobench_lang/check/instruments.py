"""What a chosen instrument cannot do, found before any device is touched.

In: the values of engines, workloads and devices on the axes, with what other axes bind. Out: a diagnostic for a
combination, for `feasible` to report where a cell has it. Guarantee: what an instrument can do is read from the
manifest of its engine; an engine without such a manifest is never refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from mobench_lang.check import messages
from mobench_lang.check.axes import Axes
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.units import Qty
from mobench_lang.check.values import Ent, Val, Word, label
from mobench_lang.diagnostics import Diagnostic
from mobench_lang.packs import Instrument
from mobench_lang.source import Span
from mobench_lang.syntax import ast

Find = Callable[[Evaluator, list[Val], list[Span]], Diagnostic | None]


def rules(ev: Evaluator, axes: Axes, asked: Iterable[ast.Name]) -> Iterator[tuple[tuple[str, ...], str, Find]]:
    """What is to be tried, on which roles, and which of their attributes it reads: one rule per thing that can be
    wrong, so that each is reported. `asked` are the metrics that must be measured."""
    packs = {e.pack for e in axes.tables["engine"].values if isinstance(e, Ent)} if "engine" in axes.tables else set()
    known = [i for pack in sorted(packs) if pack in ev.schema.engines for i in ev.schema.engines[pack].instruments]
    for instrument in known:
        chooses = instrument.parameter
        for key in instrument.own:
            yield ("engine",), f"{chooses} {key}", _own(instrument, key)
        if not _used(axes, instrument):
            continue
        for key in instrument.parameters:
            yield ("engine",), f"{chooses} {key}", _parameter(instrument, key)
        others = _others(ev, instrument)
        yield ("engine", "workload"), " ".join((chooses, *others, *instrument.apart)), _workload(instrument, others)
        for key in instrument.device:
            yield ("engine", "device"), f"{chooses} {key}", _device(instrument, key)
        for name in asked:
            if name.text not in instrument.metrics:
                yield ("engine",), chooses, _metric(instrument, name)


def _used(axes: Axes, instrument: Instrument) -> bool:
    """Whether some engine value may choose it: what cannot be chosen costs a check nothing."""
    if any(t.binds == f"engine.{instrument.parameter}" for t in axes.tables.values()):
        return True
    return any(_chosen(e, instrument) for e in axes.tables["engine"].values)


def _others(ev: Evaluator, instrument: Instrument) -> tuple[str, ...]:
    """The attributes of a workload that it cannot do."""
    if not instrument.workload:
        return ()
    return tuple(key for key in ev.schema.attributes("workload") if key not in instrument.workload)


def _own(instrument: Instrument, key: str) -> Find:
    def find(_ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
        (engine,) = values
        if not isinstance(engine, Ent) or key not in engine.attrs or _chosen(engine, instrument):
            return None
        where = engine.spans.get(key, spans[0])
        return messages.capabilities.parameter_without_instrument(where, key, _setting(instrument), instrument.title)

    return find


def _parameter(instrument: Instrument, key: str) -> Find:
    def find(_ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
        (engine,) = values
        if not isinstance(engine, Ent) or key not in engine.attrs or not _chosen(engine, instrument):
            return None
        where = engine.spans.get(key, spans[0])
        return _cannot(instrument, engine, where, f"be asked for `{key}`", instrument.parameters[key])

    return find


def _workload(instrument: Instrument, others: tuple[str, ...]) -> Find:
    """The first thing that it cannot do of a workload."""

    def find(_ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
        engine, work = values
        if not isinstance(engine, Ent) or not isinstance(work, Ent) or not _chosen(engine, instrument):
            return None
        for key in work.attrs:
            if key in others and work.attrs[key] is not None:
                what, how = f"do `{key}` of the workload `{work.name}`", f"it does {_and(instrument.workload)}"
                return _cannot(instrument, engine, work.spans.get(key, spans[1]), what, how, _elsewhere(instrument))
        both = [key for key in instrument.apart if _above_zero(work.attrs.get(key))]
        if len(both) < 2:
            return None
        how = f"it times them apart, each in a test of its own: {_split(work, both)}"
        return _cannot(instrument, engine, spans[1], f"do {_and(both)} in one request", how, _elsewhere(instrument))

    return find


def _device(instrument: Instrument, key: str) -> Find:
    def find(_ev: Evaluator, values: list[Val], spans: list[Span]) -> Diagnostic | None:
        engine, on = values
        if not isinstance(engine, Ent) or not isinstance(on, Ent) or not _chosen(engine, instrument):
            return None
        value = on.attrs.get(key)
        if value is None or (isinstance(value, Word) and value.text == "all"):
            return None
        where = on.spans.get(key, spans[1])
        return _cannot(instrument, engine, where, f"keep to `{key}` of the device `{on.name}`", instrument.device[key])

    return find


def _metric(instrument: Instrument, name: ast.Name) -> Find:
    def find(_ev: Evaluator, values: list[Val], _spans: list[Span]) -> Diagnostic | None:
        (engine,) = values
        if not isinstance(engine, Ent) or not _chosen(engine, instrument):
            return None
        return _cannot(
            instrument, engine, name.span, f"measure `{name.text}`", f"it tells {_and(instrument.metrics)} only",
            f"`measure? {name.text}` takes it where it can be had", _elsewhere(instrument),
        )  # fmt: skip

    return find


def _cannot(instrument: Instrument, engine: Ent, where: Span, what: str, *helps: str) -> Diagnostic:
    return messages.capabilities.instrument_cannot(
        where, instrument.title, what, helps, engine.spans.get(instrument.parameter)
    )


# ---------------------------------------------------------------- which one


def _chosen(engine: Val, instrument: Instrument) -> bool:
    value = engine.attrs.get(instrument.parameter) if isinstance(engine, Ent) else None
    return isinstance(value, Word) and value.text == instrument.value


def _setting(instrument: Instrument) -> str:
    return f"{instrument.parameter} = {instrument.value}"


def _elsewhere(instrument: Instrument) -> str:
    return f"without `{_setting(instrument)}` the engine's own instrument does it"


def _above_zero(value: Val) -> bool:
    if isinstance(value, Qty):
        return value.value > 0
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value > 0


def _split(work: Ent, keys: list[str]) -> str:
    """The workloads to write instead, one for each."""

    def one(key: str) -> Iterator[str]:
        for other in keys:
            value = work.attrs[other]
            yield f"{other} = {label(value) if other == key else 0}"

    return " and ".join(f"`generate({', '.join(one(key))})`" for key in keys)


def _and(words: tuple[str, ...] | list[str]) -> str:
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
