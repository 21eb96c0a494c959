"""Where each value of a plan comes from.

In: attributes, axes and entities as they are checked. Out: `ir.Origin`s: a path, the value's text, and the chain of
places that set it, last setter first; or the rule of a default. Guarantee: places name files as the spec's project
does, so that they read the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mobench_lang import ir
from mobench_lang.check.load import Module, free_names, project_root
from mobench_lang.check.values import Ent, Val, text
from mobench_lang.source import Source, Span
from mobench_lang.syntax import ast


@dataclass
class Origins:
    """Collects the origins of one bench."""

    module: Module
    found: dict[str, ir.Origin] = field(default_factory=dict)

    def place(self, span: Span) -> ir.Place:
        """A span as a place of the project."""
        return ir.Place(file=_name(span.source), line=span.line, column=span.column)

    def attribute(self, path: str, attr: ast.Attr, value: Val) -> None:
        """A value that an attribute set."""
        self.note(path, text(value), attr.span, attr.value)

    def note(self, path: str, shown: str, span: Span, expr: ast.Expr | None = None) -> None:
        """A value set at a place, by an expression that may name others."""
        chain = [self.place(span), *self._named(expr)] if expr is not None else [self.place(span)]
        self.found.setdefault(path, ir.Origin(path=path, value=shown, chain=tuple(dict.fromkeys(chain))))

    def default(self, path: str, rule: str) -> None:
        """A value that nobody wrote."""
        self.found.setdefault(path, ir.Origin(path=path, value=rule, chain=(), default=rule))

    def axis(self, name: str, span: Span, expr: ast.Expr, labels: list[str]) -> None:
        """An axis with its values; a long list is shortened."""
        shown = ", ".join(labels[:8]) + (f", … ({len(labels)} values)" if len(labels) > 8 else "")
        self.note(name, f"[{shown}]", span, expr)

    def entity(self, axis: str, entity: Ent) -> None:
        """The attributes of a thing on an axis."""
        for key, value in entity.attrs.items():
            span = entity.spans.get(key)
            if span is not None:
                self.note(f"{axis}.{entity.name}.{key}", text(value), span)

    def all(self) -> tuple[ir.Origin, ...]:
        """Every origin, by path."""
        return tuple(self.found[k] for k in sorted(self.found))

    def _named(self, expr: ast.Expr) -> list[ir.Place]:
        """The places of the names that an expression reads, and of those that they read."""
        places: list[ir.Place] = []
        waiting = sorted(free_names(expr))
        seen: set[str] = set()
        while waiting:
            name = waiting.pop(0)
            entry = self.module.entries.get(name)
            if name in seen or entry is None or entry.span is None:
                continue
            seen.add(name)
            places.append(self.place(entry.span))
            if entry.node is not None:
                waiting += sorted(free_names(entry.node))
        return places


@cache
def _name(source: Source) -> str:
    """The name of a source relative to its project."""
    if source.path is None:
        return source.name
    path = Path(source.path).resolve()
    return path.relative_to(project_root(path.parent)).as_posix()
