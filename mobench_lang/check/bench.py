"""A bench: from its block to `ir.Bench`.

In: the module that holds the bench. Out: the typed bench, or None after reports. Guarantee: every part is looked at
even if another one is wrong; what follows from a reported fault stays silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import comb
from pathlib import Path

from mobench_lang import ir
from mobench_lang.check import entities, feasible, messages
from mobench_lang.check.axes import Axes, AxisEnv, Group, Table, bound_entity
from mobench_lang.check.claims import Claims
from mobench_lang.check.clauses import Tried, try_out
from mobench_lang.check.coerce import coerce
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.load import Module
from mobench_lang.check.names import Bound
from mobench_lang.check.origins import Origins
from mobench_lang.check.procedure import Procedure
from mobench_lang.check.schema import DECLARED, PROTOCOL_BLOCKS, ROLES, Schema
from mobench_lang.check.values import POISON, Ent, Folder, Poison, Rec, Val, label
from mobench_lang.design import MAX_PAIRS
from mobench_lang.matrix import Count, expand, projections, size
from mobench_lang.metrics import DEFAULT_METRICS, RESULT_COLUMNS
from mobench_lang.packs import Attribute
from mobench_lang.source import Span
from mobench_lang.syntax import ast
from mobench_lang.syntax.unparse import expression_text

MAX_CELLS = 2_000_000
MAX_AXES = 64  # the four roles included


@dataclass
class BenchScope:
    """The names inside a bench: its `let`s, then those of the file; axes are known, but have no value here."""

    module: Module
    axes: dict[str, Table]
    lets: dict[str, Bound] = field(default_factory=dict)

    def find(self, name: str) -> Bound | None:
        """A `let` of the bench, else a name of the file, else an axis."""
        found = self.lets.get(name) or self.module.find(name)
        if found is None and name in self.axes:
            table = self.axes[name]
            return Bound(POISON, table.name.span, outside=not table.broken)
        return found

    def names(self) -> Iterator[str]:
        """Every name that can be used in the bench."""
        yield from self.lets
        yield from self.module.names()


@dataclass
class Parts:
    """The statements of a bench by kind, in order."""

    attrs: list[ast.Attr] = field(default_factory=list)
    sections: dict[str, ast.Block] = field(default_factory=dict)
    measures: list[ast.Measure] = field(default_factory=list)
    expects: list[ast.Expect] = field(default_factory=list)
    excludes: list[ast.Exclude] = field(default_factory=list)
    includes: list[ast.Include] = field(default_factory=list)
    designs: list[ast.Sample | ast.Pairwise] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    damaged: bool = False
    crowded: bool = False


def check_bench(module: Module, schema: Schema) -> tuple[ir.Bench | None, dict[str, Path | None]]:
    """The bench of a module, and for each model the folder its paths start from.

    The caller decides by the reports whether the result may be used.
    """
    block = module.bench
    assert block is not None  # noqa: S101 - asked for by the caller
    checker = Checker(module, schema, block)
    return checker.run(), checker.folders()


@dataclass
class Checker:
    """One bench being checked."""

    module: Module
    schema: Schema
    block: ast.Block

    def __post_init__(self) -> None:
        """Set up what the passes share."""
        self.ev: Evaluator = self.module.evaluator
        self.scope = BenchScope(self.module, {})
        self.axes = Axes(self.ev, self.scope, self.scope.axes)
        self.parts = Parts()
        self.origins = Origins(self.module)
        self.walks: tuple[ir.Walk, ...] = ()
        self.tried: dict[str, Tried] = {}  # by text: many claims are about the same cells

    def run(self) -> ir.Bench | None:
        """All passes in order."""
        self._sort(self.block.body)
        self._roles()
        walks = self._walks()
        if walks is not None:
            self.walks = walks
            self._bind()
        usable = walks is not None and not self.axes.broken
        excludes = tuple(self._clause(e, usable) for e in self.parts.excludes)
        procedure = Procedure(self.ev, self.scope, self.axes, self.origins, self.parts.sections)
        protocol, conditions = procedure.protocol(), procedure.conditions()
        metrics = self._metrics()
        expectations = tuple(self._expectation(e, metrics, protocol.repeat, usable) for e in self.parts.expects)
        design = self._design()
        if not usable or walks is None or any(c is None for c in excludes) or any(e is None for e in expectations):
            return None
        bench = ir.Bench(
            edition=1,
            name=self.block.name.text if self.block.name else "",
            axes=self.axes.to_ir(),
            walks=walks,
            excludes=tuple(c for c in excludes if c is not None),
            design=design,
            protocol=protocol,
            conditions=conditions,
            metrics=metrics,
            expectations=tuple(e for e in expectations if e is not None),
            origins=self._origins(),
        )
        return self._counted(bench)

    def folders(self) -> dict[str, Path | None]:
        """Where the relative paths of each model's source start."""
        found: dict[str, Path | None] = {}
        for model in self.axes.tables["model"].values if "model" in self.axes.tables else ():
            source = model.attrs.get("source") if isinstance(model, Ent) else None
            folder = source.fields.get("folder") if isinstance(source, Rec) else None
            if isinstance(model, Ent) and isinstance(folder, Folder):
                found[model.name] = folder.path
        return found

    # ------------------------------------------------------------ statements

    def _sort(self, body: tuple[ast.Stmt, ...]) -> None:
        parts, tell = self.parts, self.ev.tell
        for stmt in body:
            match stmt:
                case ast.Let():
                    self._let(stmt)
                case ast.Attr():
                    if stmt.optional:
                        tell(messages.declarations.optional_not_here(stmt.name))
                    self._open(stmt.name, stmt.value, single=True, span=stmt.span)
                case ast.Measure():
                    parts.measures.append(stmt)
                case ast.Expect():
                    parts.expects.append(stmt)
                case ast.Block(kind=kind):
                    self._section(kind, stmt)
                case ast.Axis():
                    tell(messages.matrix.axis_outside_matrix(stmt))
                    parts.damaged = True
                case ast.Broken():
                    self._note_broken(stmt)
                case _:
                    tell(messages.declarations.not_in_this_block(stmt))

    def _note_broken(self, stmt: ast.Broken) -> None:
        self.parts.damaged = True
        if stmt.name is not None:
            self.parts.broken.add(stmt.name.text)
            if stmt.name.text not in self.axes.tables and stmt.name.text not in (*PROTOCOL_BLOCKS, "matrix"):
                table = Table(stmt.name, stmt.name, True, None, stmt.span, broken=True)
                self.axes.tables[stmt.name.text] = table

    def _let(self, let: ast.Let) -> None:
        known = self.scope.find(let.name.text)
        if let.name.text in self.scope.lets:
            self.ev.tell(messages.names.declared_twice(let.name, known.span if known else None))
        elif known is not None or let.name.text in self.ev.functions:
            self.ev.tell(messages.names.shadows(let.name, known.span if known else None))
        else:
            self.scope.lets[let.name.text] = Bound(self.ev.value(let.value, self.scope), let.name.span)

    def _section(self, kind: ast.Name, block: ast.Block) -> None:
        known = (*PROTOCOL_BLOCKS, "matrix")
        reserved = self.schema.blocks[kind.text].reserved if kind.text in self.schema.blocks else ""
        if reserved and kind.text not in DECLARED:
            self.ev.tell(messages.declarations.reserved(kind.span, f"`{kind.text}`", reserved))
        elif kind.text not in known:
            self.ev.tell(messages.declarations.unknown_block(kind, known, "inside a bench"))
        elif kind.text in self.parts.sections:
            self.ev.tell(messages.declarations.repeated(kind, self.parts.sections[kind.text].kind.span))
        else:
            self.parts.sections[kind.text] = block
            if kind.text == "matrix":
                self._matrix(block)

    def _matrix(self, block: ast.Block) -> None:
        parts = self.parts
        for stmt in block.body:
            match stmt:
                case ast.Axis():
                    self._open(stmt.name, stmt.values, single=False, span=stmt.span)
                case ast.Block(kind=ast.Name(text="zip")):
                    self._zip(stmt)
                case ast.Exclude():
                    parts.excludes.append(stmt)
                case ast.Include():
                    parts.includes.append(stmt)
                case ast.Sample() | ast.Pairwise():
                    if parts.designs:
                        self.ev.tell(messages.matrix.two_designs(stmt.span, parts.designs[0].span))
                    parts.designs.append(stmt)
                case ast.Attr():
                    self.ev.tell(messages.matrix.assignment_in_matrix(stmt))
                    self._note_broken(ast.Broken(stmt.span, stmt.name))
                case ast.Let():
                    self.ev.tell(messages.declarations.not_in_this_block(stmt))
                case ast.Broken():
                    self._note_broken(stmt)
                case _:
                    self.ev.tell(messages.declarations.not_in_this_block(stmt))

    def _zip(self, block: ast.Block) -> None:
        names: list[str] = []
        for stmt in block.body:
            if isinstance(stmt, ast.Axis):
                if self._open(stmt.name, stmt.values, single=False, span=stmt.span, grouped=True):
                    names.append(stmt.name.text)
            elif isinstance(stmt, ast.Broken):
                self._note_broken(stmt)
            else:
                self.ev.tell(messages.declarations.not_in_this_block(stmt))
        if names:
            self.axes.groups.append(Group(tuple(names), block.head))

    def _open(self, name: ast.Name, expr: ast.Expr, *, single: bool, span: Span, grouped: bool = False) -> bool:
        """Open an axis; False after a report."""
        key = name.text
        known = self.axes.tables.get(key)
        if known is not None:
            found = messages.declarations.repeated if single and known.single else messages.matrix.duplicate_axis
            self.ev.tell(found(name, known.name.span))
            return False
        outer = self.scope.find(key)
        if outer is not None or key in self.ev.functions:
            self.ev.tell(messages.matrix.overlapping_axis(name, outer.span if outer else None))
            self._note_broken(ast.Broken(span, name))
            return False
        if key.lower() in RESULT_COLUMNS or key.lower() in self.schema.metrics:
            self.ev.tell(messages.matrix.axis_is_column(name))
            self._note_broken(ast.Broken(span, name))
            return False
        if len(self.axes.tables) >= MAX_AXES:
            self._crowded(name)
            return False
        self.axes.tables[key] = Table(name, expr, single, self._want(key), span)
        if not grouped:
            self.axes.groups.append(Group((key,), span))
        return True

    def _crowded(self, name: ast.Name) -> None:
        """Report once that there are too many axes; the rest are left out."""
        if not self.parts.crowded:
            self.ev.tell(messages.limits.too_many_axes(name.span, MAX_AXES))
        self.parts.crowded = self.parts.damaged = True
        self.parts.broken.add(name.text)

    def _want(self, key: str) -> Attribute | None:
        if key in ROLES:
            return Attribute(type=key, doc="")
        found = [
            a for kind in ("workload", "engine", "device") for k, a in self.schema.attributes(kind).items() if k == key
        ]
        return found[0] if len(found) == 1 and found[0].type in ("enum", "cpus") else None

    def _roles(self) -> None:
        if self.parts.damaged:
            return
        needed = ("model", "engine", "device", "workload")
        missing = [r for r in needed if r not in self.axes.tables and r not in self.parts.broken]
        if missing:
            self.ev.tell(messages.declarations.missing_roles(self.block, missing))
            self.parts.damaged = True

    # ------------------------------------------------------------ walks

    def _walks(self) -> tuple[ir.Walk, ...] | None:
        main = self.axes.steps({})
        if main is None:
            return None
        walks = [ir.Walk(steps=main)]
        total = size(walks[0], MAX_CELLS)
        for include in self.parts.includes:
            if total > MAX_CELLS:
                break
            fixed = self._included(include)
            steps = None if fixed is None else self.axes.steps(fixed)
            if steps is None:
                return None
            walks.append(ir.Walk(steps=steps))
            total += size(walks[-1], MAX_CELLS)
        if total > MAX_CELLS:
            self.ev.tell(messages.matrix.too_many_cells(self._matrix_span(), total, MAX_CELLS))
            return None
        if not self._few_pairs(total):
            return None
        if self.parts.damaged:
            return None
        return tuple(walks)

    def _few_pairs(self, cells: int) -> bool:
        """Whether a pairwise design over so many cells ends in time; False after a report."""
        varied = sum(len(t.values) > 1 for t in self.axes.tables.values())
        pairs = cells * comb(varied, 2)
        design = self.parts.designs[0] if self.parts.designs else None
        if not isinstance(design, ast.Pairwise) or pairs <= MAX_PAIRS:
            return True
        self.ev.tell(messages.limits.too_many_pairs(design.span, cells, varied, MAX_PAIRS))
        return False

    def _matrix_span(self) -> Span:
        matrix = self.parts.sections.get("matrix")
        return (matrix or self.block).head

    def _included(self, include: ast.Include) -> dict[str, tuple[Val, Span]] | None:
        fixed: dict[str, tuple[Val, Span]] = {}
        failed = False
        for entry in include.entries:
            table = self.axes.tables.get(entry.name.text)
            if table is None:
                self.ev.tell(messages.matrix.include_unknown_axis(entry.name, self.axes.order))
                failed = True
                continue
            if entry.name.text in fixed:
                self.ev.tell(messages.declarations.repeated(entry.name, fixed[entry.name.text][1]))
                failed = True
                continue
            value = self.ev.value(entry.value, self.scope, table.want)
            value = self.axes.typed(table, value, entry.value.span)
            failed = failed or isinstance(value, Poison)
            fixed[entry.name.text] = (value, entry.value.span)
        return None if failed else fixed

    def _bind(self) -> None:
        """Let each free axis that no other axis reads set the one parameter of its name."""
        read = {n for t in self.axes.tables.values() for n in _names_read(t, self.axes)}
        clauses = {self.axes.order[i] for e in self.parts.excludes for i in self.axes.reads(e.condition)}
        for name, table in self.axes.tables.items():
            if name in ROLES or name in read or table.broken:
                continue
            roles = [r for r in ("workload", "engine", "device") if self._takes(r, name)]
            if len(roles) == 1:
                self._bind_to(table, roles[0])
            elif roles:
                self.ev.tell(messages.matrix.ambiguous_axis(table.name.span, name, roles))
                table.broken = True
            elif name not in clauses:
                homes = [h for h in self.schema.homes(name) if h not in ROLES or h == "model"]
                near = [k for r in ("workload", "engine", "device") for k in self.schema.attributes(r)]
                self.ev.tell(messages.matrix.unbound_axis(table.name.span, name, [*near, *ROLES], homes))
                table.broken = True

    def _takes(self, role: str, key: str) -> bool:
        table = self.axes.tables.get(role)
        entities_here = [v for v in table.values if isinstance(v, Ent)] if table else []
        return bool(entities_here) and all(key in self.schema.attributes(role, e.pack) for e in entities_here)

    def _bind_to(self, table: Table, role: str) -> None:
        owner = self.axes.tables[role]
        key = table.name.text
        for value in owner.values:
            if isinstance(value, Ent) and key in value.attrs:
                self.ev.tell(messages.matrix.already_set(table.name.span, key, role, value.name, value.spans.get(key)))
                table.broken = True
                return
        packs = [v.pack for v in owner.values if isinstance(v, Ent)]
        info = self.schema.attributes(role, packs[0])[key]
        made = [coerce(self.ev, v, info, key, s) for v, s in zip(table.values, table.places, strict=True)]
        fine = not any(isinstance(m, Poison) for m in made) and self._fits(owner, key, table, made)
        labels = [label(m) for m in made]
        first = {shown: number for number, shown in reversed(list(enumerate(labels)))}
        for number, shown in enumerate(labels):
            if first[shown] != number:  # `64` and `64tok`
                self.ev.tell(messages.matrix.duplicate_value(table.places[number], key, shown))
                fine = False
        if not fine:
            table.broken = True
            return
        table.values, table.labels, table.binds = made, labels, f"{role}.{key}"
        table.index.update({shown: number for number, shown in enumerate(labels)})

    def _fits(self, owner: Table, key: str, table: Table, values: list[Val]) -> bool:
        """Whether workloads are still sound with what an axis binds; False after a report."""
        for one in owner.values:
            if not isinstance(one, Ent) or one.kind != "workload":
                continue
            for value in values:
                made = bound_entity(one, key, value)
                spans = {**made.spans, key: table.name.span}
                if not entities.check_workload(self.ev, replace(made, spans=spans, span=table.name.span)):
                    return False
        return True

    def _design(self) -> ir.Design | None:
        if not self.parts.designs:
            return None
        stmt = self.parts.designs[0]
        seed = 0 if stmt.seed is None else self._number(stmt.seed, "seed", 0)
        if isinstance(stmt, ast.Pairwise):
            return ir.Design(kind="pairwise", size=None, seed=seed or 0)
        count = self._number(stmt.count, "sample", 1)
        return None if count is None or seed is None else ir.Design(kind="sample", size=count, seed=seed)

    def _number(self, expr: ast.Expr, key: str, least: int) -> int | None:
        want = Attribute(type="int", doc="", min=least)
        value = coerce(self.ev, self.ev.value(expr, self.scope), want, key, expr.span)
        return value if isinstance(value, int) else None

    # ------------------------------------------------------------ clauses

    def _tried(self, condition: ast.Expr, usable: bool, *, clause: bool) -> Tried | None:
        """The combinations for which a condition is true, and unknown (with a warning)."""
        if not usable:
            env = AxisEnv(self.scope, self.axes.tables, {})
            self.ev.value(condition, env)
            return None
        shown = expression_text(condition)
        tried = self.tried.get(shown)
        if tried is None:
            reads = self.axes.reads(condition)
            tried = try_out(self.ev, self.axes, condition, reads, self._reached(reads, condition.span))
        if tried is None:
            return None
        self.tried[shown] = tried
        if tried.unknown:
            self.ev.tell(messages.matrix.unknown_truth(condition.span, tried.why, clause))
        return tried

    def _reached(self, reads: tuple[int, ...], span: Span) -> Iterable[tuple[int, ...]]:
        """The combinations of some axes that the walks reach, each once."""
        pay = partial(self.ev.rows, span=span)
        if len(self.walks) == 1:
            return projections(self.walks[0].steps, reads, pay)
        return dict.fromkeys(k for walk in self.walks for k in projections(walk.steps, reads, pay))

    def _clause(self, exclude: ast.Exclude, usable: bool) -> ir.Clause | None:
        because = "" if exclude.because is None else self.ev.value(exclude.because, self.scope)
        tried = self._tried(exclude.condition, usable, clause=True)
        if tried is None or not isinstance(because, str):
            return None
        return ir.Clause(
            text=expression_text(exclude.condition), because=because, place=self.origins.place(exclude.span),
            reads=tried.reads, true=tried.true, unknown=tried.unknown,
        )  # fmt: skip

    # ------------------------------------------------------------ metrics and claims

    def _metrics(self) -> tuple[ir.Metric, ...]:
        found: dict[str, tuple[ir.Metric, ast.Name]] = {}
        for statement in self.parts.measures:
            for name in statement.metrics:
                if name.text in found:
                    self.ev.tell(messages.claims.repeated_metric(name, found[name.text][1].span))
                elif name.text not in self.schema.metrics:
                    self.ev.tell(messages.claims.unknown_metric(name, tuple(self.schema.metrics)))
                else:
                    found[name.text] = (ir.Metric(name=name.text, optional=statement.optional), name)
                    self.origins.note(f"measure.{name.text}", name.text, name.span)
        if not self.parts.measures:
            if "measure" not in self.parts.broken:
                for default in DEFAULT_METRICS:
                    self.origins.default(f"measure.{default}", "measured where a bench does not say")
            return tuple(ir.Metric(name=m, optional=False) for m in DEFAULT_METRICS)
        for metric, name in found.values():
            if not metric.optional:
                feasible.metric(self.ev, self.axes, name)
        return tuple(metric for metric, _ in found.values())

    def _expectation(
        self, expect: ast.Expect, metrics: tuple[ir.Metric, ...], repeat: int, usable: bool
    ) -> ir.Expectation | None:
        measured = tuple(m.name for m in metrics)
        claims = Claims(self.ev, self.scope, self.axes, self.schema.metrics, measured, repeat)
        claim = claims.claim(expect.claim)
        per: list[str] = []
        for name in expect.per:
            if name.text not in self.axes.tables and not self.parts.damaged:
                self.ev.tell(messages.claims.per_not_axis(name, self.axes.order))
                claim = None
            elif name.text in per:
                self.ev.tell(messages.claims.repeated_per(name))
            per.append(name.text)
        reads: tuple[int, ...] = ()
        true: tuple[tuple[int, ...], ...] | None = None
        if expect.condition is not None:
            tried = self._tried(expect.condition, usable, clause=False)
            if tried is None:
                return None
            reads, true = tried.reads, tried.true
            if not true and not tried.unknown:
                self.ev.tell(messages.claims.where_matches_nothing(expect.condition.span))
        if claim is None:
            return None
        return ir.Expectation(
            severity=expect.severity, text=expression_text(expect.claim), place=self.origins.place(expect.span),
            claim=claim, where="" if expect.condition is None else expression_text(expect.condition),
            reads=reads, true=true, per=tuple(dict.fromkeys(per)),
        )  # fmt: skip

    # ------------------------------------------------------------ the end

    def _origins(self) -> tuple[ir.Origin, ...]:
        for name, table in self.axes.tables.items():
            self.origins.axis(name, table.span, table.expr, table.labels)
            for value in table.values:
                if isinstance(value, Ent):
                    self.origins.entity(name, value)
        for number, expect in enumerate(self.parts.expects):
            self.origins.note(f"{expect.severity}.{number}", expression_text(expect.claim), expect.span)
        for number, exclude in enumerate(self.parts.excludes):
            self.origins.note(f"exclude.{number}", expression_text(exclude.condition), exclude.span)
        return self.origins.all()

    def _counted(self, bench: ir.Bench) -> ir.Bench | None:
        """Warnings and errors that need the cells."""
        count = Count()
        for _ in expand(bench, count):
            pass
        for number, exclude in enumerate(self.parts.excludes):
            if (
                count.excluded[number] == 0
                and not bench.excludes[number].unknown
                and not _later_ones_took(bench, number, count)
            ):
                self.ev.tell(messages.matrix.no_effect_exclude(exclude.span))
        if count.repeated and self.parts.includes:
            self.ev.tell(messages.matrix.duplicate_cells(self.parts.includes[0].span, count.repeated))
        if bench.design is not None and bench.design.kind == "sample" and not count.not_sampled:
            self.ev.tell(
                messages.matrix.sample_too_large(self.parts.designs[0].span, bench.design.size or 0, count.cells)
            )
        if count.cells == 0:
            alone = [e.span for e, n in zip(self.parts.excludes, count.excluded, strict=True) if n == count.total]
            self.ev.tell(messages.matrix.no_cells(alone[0] if alone else self._matrix_span(), clause=bool(alone)))
            return None
        must = [name for m in self.parts.measures if not m.optional for name in m.metrics]
        feasible.combinations(self.ev, self.axes, bench, must)
        asked = self.parts.sections.get("conditions")
        attrs = [s for s in asked.body if isinstance(s, ast.Attr) and s.name.text == "charger"] if asked else []
        feasible.charge(self.ev, self.axes, bench, attrs[0].span if attrs else None)
        return bench


def _later_ones_took(bench: ir.Bench, number: int, count: Count) -> bool:
    """True if an earlier clause has taken every cell that this one would have matched."""
    return bool(bench.excludes[number].true) and sum(count.excluded[:number]) > 0


def _names_read(table: Table, axes: Axes) -> set[str]:
    order = axes.order
    return {order[i] for i in axes.reads(table.expr, before=table.name.text)}
