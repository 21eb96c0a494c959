"""The axes of a bench: from the lists as written to steps of value indices.

In: the axes of a bench in order, with their expressions. Out: `ir.Axis`, `ir.Walk`. Guarantee: each list is evaluated
once per combination of the axes it reads that can be reached, however large the product is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mobench_lang import ir
from mobench_lang.check import messages
from mobench_lang.check.coerce import coerce
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.load import free_names
from mobench_lang.check.names import Bound, Env
from mobench_lang.check.schema import ROLES
from mobench_lang.check.values import POISON, Ent, Hidden, Poison, Rec, Val, is_list, kind_of, label, text, to_ir
from mobench_lang.frozen import frozen
from mobench_lang.matrix import projections
from mobench_lang.packs import Attribute
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.source import Span

_COST = 8  # steps of a combination, beside those of its list


@dataclass
class Table:
    """The values of one axis as they turn up: numbered, labelled, each once."""

    name: ast.Name
    expr: ast.Expr
    single: bool
    want: Attribute | None
    span: Span
    values: list[Val] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    places: list[Span] = field(default_factory=list)
    broken: bool = False
    binds: str = ""

    def number(self, ev: Evaluator, value: Val, span: Span) -> int | None:
        """The number of a value; two different things with one name are reported."""
        shown = label(value)
        known = self.index.get(shown)
        if known is None:
            self.index[shown] = len(self.values)
            self.values.append(value)
            self.labels.append(shown)
            self.places.append(span)
            return len(self.values) - 1
        other = self.values[known]
        if isinstance(value, Ent) and isinstance(other, Ent) and value.base != other.base:
            ev.tell(messages.matrix.two_declarations(span, value.kind, value.name, other.span, value.span))
            return None
        if type(value) is not type(other):
            ev.tell(messages.matrix.duplicate_value(span, self.name.text, shown))
            return None
        return known


@frozen
class AxisEnv:
    """The names inside a matrix: those of the bench, and the axes that are read with the values of one combination."""

    parent: Env
    tables: dict[str, Table]
    now: dict[str, Val]
    later: dict[str, Table] = field(default_factory=dict)

    def find(self, name: str) -> Bound | None:
        """An axis with its value here, else what the bench says."""
        table = self.tables.get(name)
        if table is None:
            return self.parent.find(name)
        value = POISON if table.broken else self.now.get(name, POISON)
        if isinstance(value, Ent):
            for other in self.tables.values():
                role, _, key = other.binds.partition(".")
                if role == name and other.name.text in self.now:
                    value = bound_entity(value, key, self.now[other.name.text])
        return Bound(value, table.span, table.want)

    def names(self) -> Iterator[str]:
        """The axes, then the names of the bench."""
        yield from self.tables
        yield from self.parent.names()


def bound_entity(entity: Ent, key: str, value: Val) -> Ent:
    """The entity with a parameter that an axis binds."""
    return Ent(entity.kind, entity.name, entity.base, entity.pack, {**entity.attrs, key: value}, entity.spans,
               entity.span, entity.changed, entity.damaged)  # fmt: skip


@dataclass
class Group:
    """Axes that are opened by one step: one, or several under `zip`."""

    names: tuple[str, ...]
    span: Span


@dataclass
class Axes:
    """All axes of a bench in order, evaluated step by step."""

    ev: Evaluator
    env: Env
    tables: dict[str, Table] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    @property
    def order(self) -> list[str]:
        """The names of the axes, in order."""
        return list(self.tables)

    @property
    def broken(self) -> bool:
        """True if some axis could not be evaluated."""
        return any(t.broken for t in self.tables.values())

    def reads(self, *exprs: ast.Expr, before: str | None = None) -> tuple[int, ...]:
        """The numbers of the axes that expressions read, those that bind into what is read included."""
        order = self.order
        limit = order.index(before) if before is not None else len(order)
        names = set().union(*(free_names(e) for e in exprs)) if exprs else set()
        for table in self.tables.values():
            if table.binds and table.binds.split(".")[0] in names:
                names.add(table.name.text)
        return tuple(i for i, name in enumerate(order[:limit]) if name in names)

    def at(self, reads: Sequence[int], key: Sequence[int]) -> AxisEnv:
        """The environment of one combination of axes."""
        order = self.order
        now = {order[a]: self.tables[order[a]].values[i] for a, i in zip(reads, key, strict=True)}
        return AxisEnv(self.env, self.tables, now)

    # ------------------------------------------------------------ steps

    def steps(self, fixed: dict[str, tuple[Val, Span]]) -> tuple[ir.Step, ...] | None:
        """The steps of one walk, with some axes fixed to a value; None after a report."""
        steps: list[ir.Step] = []
        failed = False
        for group in self.groups:
            made = self._step(group, steps, fixed)
            if made is None:
                failed = True
                for name in group.names:
                    self.tables[name].broken = True
                sets = tuple(self.order.index(n) for n in group.names)
                made = ir.Step(sets=sets, reads=(), choices=())
            steps.append(made)
        return None if failed else tuple(steps)

    def _step(self, group: Group, before: list[ir.Step], fixed: dict[str, tuple[Val, Span]]) -> ir.Step | None:
        order = self.order
        tables = [self.tables[n] for n in group.names]
        opened = [n for n in group.names if n not in fixed]
        reads = tuple(sorted({r for n in opened for r in self.reads(self.tables[n].expr, before=group.names[0])}))
        if not self._only_earlier(group):
            return None
        if any(self.tables[order[r]].broken for r in reads):
            return None
        choices: list[ir.Choice] = []
        for key in projections(before, reads, partial(self.ev.rows, span=group.span)):
            if not (self.ev.combinations(1, group.span) and self.ev.work(_COST, group.span)):
                return None
            rows = self._rows(group, tables, fixed, self.at(reads, key))
            if rows is None:
                return None
            choices.append(ir.Choice(key=tuple(key), rows=rows))
        if self.ev.exhausted:
            return None
        return ir.Step(sets=tuple(order.index(n) for n in group.names), reads=reads, choices=tuple(choices))

    def _only_earlier(self, group: Group) -> bool:
        order = self.order
        limit = order.index(group.names[0])
        fine = True
        for name in group.names:
            for later in order[limit:]:
                if self.tables[later].broken:
                    continue  # its own fault has been reported
                at = _place(self.tables[name].expr, later)
                if at is not None:
                    self.ev.tell(messages.names.used_before_opened(at, later, self.tables[later].span))
                    fine = False
        return fine

    def _rows(
        self, group: Group, tables: list[Table], fixed: dict[str, tuple[Val, Span]], env: AxisEnv
    ) -> tuple[tuple[int, ...], ...] | None:
        columns: list[list[int]] = []
        for table in tables:
            if table.name.text in fixed:
                value, span = fixed[table.name.text]
                number = table.number(self.ev, value, span)
                if number is None:
                    return None
                columns.append([number])
                continue
            numbers = self._numbers(table, env)
            if numbers is None:
                return None
            columns.append(numbers)
        open_columns = [c for t, c in zip(tables, columns, strict=True) if t.name.text not in fixed]
        lengths = {len(c) for c in open_columns}
        if len(lengths) > 1:
            shown = [(t.name.text, len(c)) for t, c in zip(tables, columns, strict=True)]
            self.ev.tell(messages.matrix.zip_lengths(group.span, shown))
            return None
        length = lengths.pop() if lengths else 1
        full = [c * length if t.name.text in fixed else c for t, c in zip(tables, columns, strict=True)]
        return tuple(zip(*full, strict=True))

    def _numbers(self, table: Table, env: AxisEnv) -> list[int] | None:
        """The numbers of the values that an axis has under one combination."""
        ev = self.ev
        want = table.want
        if table.single:
            value = ev.value(table.expr, env, want)
            items: Sequence[Val] = (value,)
            spans = [table.expr.span]
        else:
            listed = ev.value(
                table.expr, env, Attribute(type=f"list of {want.type}", doc="", values=want.values) if want else None
            )
            if isinstance(listed, Poison):
                return None
            if isinstance(listed, Hidden):
                ev.tell(
                    messages.matrix.axis_not_list(
                        table.expr.span, table.name.text, f"a value that is not known ({listed.why})"
                    )
                )
                return None
            if not is_list(listed):
                ev.tell(messages.matrix.axis_not_list(table.expr.span, table.name.text, kind_of(listed)))
                return None
            assert isinstance(listed, Sequence)  # noqa: S101 - is_list said so
            items = listed
            written = table.expr.items if isinstance(table.expr, ast.ListOf) else ()
            spans = [i.span for i in written] if len(written) == len(items) else [table.expr.span] * len(items)
        if not items:
            ev.tell(messages.matrix.empty_axis(table.expr.span, table.name.text))
            return None
        return self._numbered(table, items, spans)

    def _numbered(self, table: Table, items: Sequence[Val], spans: Sequence[Span]) -> list[int] | None:
        if not self.ev.work(len(items), table.span):
            return None
        numbers: list[int] = []
        seen: set[int] = set()
        failed = False
        for item, span in zip(items, spans, strict=True):
            value = self.typed(table, item, span)
            number = None if isinstance(value, Poison) else table.number(self.ev, value, span)
            if number is None:
                failed = True
                continue
            if number in seen:
                self.ev.tell(messages.matrix.duplicate_value(span, table.name.text, table.labels[number]))
                failed = True
            seen.add(number)
            numbers.append(number)
        return None if failed else numbers

    def typed(self, table: Table, value: Val, span: Span) -> Val:
        """A value as its axis wants it."""
        name = table.name.text
        if isinstance(value, Poison):
            return value
        if isinstance(value, Hidden):
            return self.ev.tell(messages.matrix.axis_not_list(span, name, f"a value that is not known ({value.why})"))
        if name == "model" and isinstance(value, Rec) and "kind" in value.fields:
            shown = text(value)
            return Ent("model", shown, shown, "", {"source": value}, {}, span)
        if name in ROLES and table.want is not None:
            made = coerce(self.ev, value, table.want, name, span)
            if isinstance(made, Ent) and made.damaged:
                return POISON
            return made
        if isinstance(value, Rec | Ent) or value is None:
            return self.ev.tell(messages.functions.not_representable(span))
        return value

    # ------------------------------------------------------------ out

    def to_ir(self) -> tuple[ir.Axis, ...]:
        """The axes as plain data."""
        return tuple(
            ir.Axis(
                name=name,
                type=t.want.type if t.want is not None and name in ROLES else _type(t),
                values=tuple(to_ir(v) for v in t.values),
                labels=tuple(t.labels),
                binds=t.binds,
            )
            for name, t in self.tables.items()
        )


def _type(table: Table) -> str:
    kinds = {kind_of(v) for v in table.values}
    if kinds == {"a bare number"}:
        return "int" if all(isinstance(v, int) for v in table.values) else "number"
    return "string" if len(kinds) != 1 else kinds.pop().removeprefix("a ").removeprefix("an ").split(" `")[0]


def _place(expr: ast.Expr, name: str) -> Span | None:
    """Where a name stands in an expression."""
    if name not in free_names(expr):
        return None
    waiting: list[object] = [expr]
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Name) and one.text == name:
            return one.span
        if isinstance(one, ast.Comprehension) and one.name.text == name:
            return None
        for slot in getattr(one, "__slots__", ()):
            if slot in ("span", "name") and not isinstance(one, ast.Arg):
                continue
            if isinstance(one, ast.Arg) and slot == "name":
                continue
            part = getattr(one, slot)
            waiting.extend(part if isinstance(part, tuple) else (part,))
    return None
