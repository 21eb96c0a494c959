"""How a bench is measured: its `run`, `thermal` and `conditions` blocks.

In: the blocks of a bench. Out: `ir.Protocol` and `ir.Setting`s. Guarantee: every value is typed by the schema, defaults
are resolved, and where each came from is noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, cast

from mobench_lang import ir
from mobench_lang.check import entities, feasible, messages
from mobench_lang.check.axes import Axes
from mobench_lang.check.coerce import coerce
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.names import Env
from mobench_lang.check.origins import Origins
from mobench_lang.check.units import Qty
from mobench_lang.check.values import Hidden, Poison, Val, Word, to_ir
from mobench_lang.source import Span
from mobench_lang.syntax import ast


@dataclass
class Procedure:
    """Reads the protocol blocks of one bench."""

    ev: Evaluator
    env: Env
    axes: Axes
    origins: Origins
    sections: Mapping[str, ast.Block]

    def _settings(self, kind: str) -> dict[str, tuple[Val, Span]]:
        """The checked attributes of a protocol block."""
        block = self.sections.get(kind)
        known = self.ev.schema.attributes(kind)
        found: dict[str, tuple[Val, Span]] = {}
        for key, attr in entities.attributes_of(self.ev, block.body if block is not None else ()).items():
            info = known.get(key)
            if info is None:
                usable = sorted(k for k, a in known.items() if not a.reserved)
                self.ev.tell(
                    messages.declarations.unknown_attribute(
                        attr.name, kind, "", usable, self.ev.schema.homes(key, kind)
                    )
                )
                continue
            if info.reserved:
                self.ev.tell(messages.declarations.reserved(attr.name.span, f"`{key}`", info.reserved))
                continue
            value = coerce(self.ev, self.ev.value(attr.value, self.env, info), info, key, attr.value.span, attr.value)
            self.origins.attribute(f"{kind}.{key}", attr, value)
            found[key] = (value, attr.value.span)
        for key, info in known.items():
            if key not in found and info.default:
                self.origins.default(f"{kind}.{key}", info.default)
        return found

    def protocol(self) -> ir.Protocol:
        """What `run` and `thermal` say, with the defaults of what they do not."""
        run, thermal = self._settings("run"), self._settings("thermal")
        settings = {**run, **thermal}
        values = {k: v for k, (v, _) in settings.items() if not isinstance(v, Poison | Hidden)}
        isolation, order = _word(values.get("isolation"), "trial"), _word(values.get("order"), "randomized")
        if isolation == "cell" and order != "sequential" and "order" not in self._poisoned(run):
            self.ev.tell(messages.procedure.isolation_needs_sequential(settings["isolation"][1]))
        start, abort = values.get("start_below"), values.get("abort_above")
        if isinstance(start, Qty) and isinstance(abort, Qty) and start.value >= abort.value:
            self.ev.tell(messages.procedure.gate_order(settings["start_below"][1]))
        load = values.get("max_load")
        if isinstance(load, int | Decimal) and not 0 < load <= 1:
            self.ev.tell(
                messages.values.outside(settings["max_load"][1], "max_load", "a share above 0 and up to 1", str(load))
            )
        if "timeout" in values and not _ns(values["timeout"], 1):
            self.ev.tell(messages.values.outside(settings["timeout"][1], "timeout", "above 0s", "0s"))
        for key in ("start_below", "abort_above"):
            if key in values:
                feasible.sensor(self.ev, self.axes, settings[key][1])
                break
        protocol = ir.Protocol(
            warmup=_int(values.get("warmup"), 1),
            repeat=_int(values.get("repeat"), 5),
            timeout_ns=_ns(values.get("timeout"), 0),
            retries=_int(values.get("retries"), 1),
            order=ir.Order(order),
            isolation=cast(Literal["trial", "cell"], isolation),
            seed=_int(values.get("seed"), -1) if "seed" in values else None,
            start_below=_whole(start),
            abort_above=_whole(abort),
            cooldown_ns=_ns(values.get("cooldown"), 0),
            gate_timeout_ns=_ns(values.get("gate_timeout"), 300_000_000_000),
            max_load=Decimal(load) if isinstance(load, int | Decimal) else None,
        )
        return feasible.timeout(self.ev, self.axes, protocol, settings.get("timeout"))

    def _poisoned(self, settings: dict[str, tuple[Val, Span]]) -> set[str]:
        return {k for k, (v, _) in settings.items() if isinstance(v, Poison)}

    def conditions(self) -> tuple[ir.Setting, ...]:
        """What `conditions` asks of the devices, by name."""
        block = self.sections.get("conditions")
        if block is None:
            return ()
        known = self.ev.schema.conditions
        found: dict[str, ir.Setting] = {}
        seen: dict[str, Span] = {}
        for stmt in block.body:
            if isinstance(stmt, ast.Broken):
                continue
            if not isinstance(stmt, ast.Attr):
                self.ev.tell(messages.declarations.not_in_this_block(stmt))
                continue
            key = stmt.name.text
            if key in seen:
                self.ev.tell(messages.declarations.repeated(stmt.name, seen[key]))
                continue
            seen[key] = stmt.name.span
            info = known.get(key)
            if info is None:
                homes = self.ev.schema.homes(key, "conditions")
                self.ev.tell(messages.declarations.unknown_attribute(stmt.name, "conditions", "", sorted(known), homes))
                continue
            value = coerce(self.ev, self.ev.value(stmt.value, self.env, info), info, key, stmt.value.span, stmt.value)
            if isinstance(value, Poison):
                continue
            self.origins.attribute(f"conditions.{key}", stmt, value)
            found[key] = ir.Setting(name=key, value=to_ir(value), optional=stmt.optional)
            feasible.condition(self.ev, self.axes, stmt, value)
        return tuple(found[k] for k in sorted(found))


def _int(value: Val, default: int) -> int:
    return value if isinstance(value, int) else default


def _ns(value: Val, default: int) -> int:
    return int(value.value) if isinstance(value, Qty) else default


def _whole(value: Val) -> int | None:
    return int(value.value) if isinstance(value, Qty) else None


def _word(value: Val, default: str) -> str:
    return value.text if isinstance(value, Word) else default
