"""Random syntax trees, and trees without their spans for comparing."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from mobench_lang.source import Source, Span
from mobench_lang.syntax import ast
from mobench_lang.syntax.scan import KEYWORDS, UNITS

NOWHERE = Span(Source("made", ""), 0, 0)


def shape(value: Any) -> Any:
    """A tree as nested tuples without spans, with decimals by value."""
    if isinstance(value, ast.Node):
        kept = [f.name for f in fields(value) if f.name not in ("span", "op_span", "head")]
        return (type(value).__name__, *(shape(getattr(value, name)) for name in kept))
    if isinstance(value, tuple):
        return tuple(shape(v) for v in value)
    return value.normalize() if isinstance(value, Decimal) else value


def _node(kind: type, *parts: Any) -> Any:
    return st.builds(lambda *made: kind(NOWHERE, *made), *parts)


words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda w: w not in KEYWORDS and w not in ("True", "TRUE", "False", "FALSE", "None", "Null", "NULL", "nil", "as")
)
names = _node(ast.Name, words)
keys = _node(
    ast.Name, words | st.sampled_from(["per", "where", "in", "for", "seed", "sample", "measure", "let", "expect"])
)
digits = st.decimals(0, 10**9, places=3, allow_nan=False, allow_infinity=False)
units = st.sampled_from([u for u in UNITS if u != "\u03bcs"])
texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
ints = _node(ast.Int, st.integers(0, 10**9))
floats = _node(ast.Float, digits)
atoms = (
    names | ints | floats | _node(ast.Quantity, digits, units) | _node(ast.Bool, st.booleans())
    | _node(ast.Null) | _node(ast.String, texts.map(lambda t: (t,) if t else ()))
)  # fmt: skip


def _interpolated(expr: Any) -> Any:
    # The inside of `${…}` holds one level of braces and strings; simple operands are what people write there.
    simple = (
        names
        | ints
        | _node(ast.Member, names, names)
        | _node(ast.Index, names, ints | _node(ast.String, st.just(("k",))))
    )
    return _node(ast.String, st.tuples(texts.filter(bool), simple, texts.filter(bool), simple))


def _args(expr: Any) -> Any:
    return st.lists(_node(ast.Arg, names, expr), max_size=2).map(tuple)


def _few(expr: Any) -> Any:
    return st.lists(expr, max_size=3).map(tuple)


def _binary(ops: list[str], expr: Any) -> Any:
    return st.builds(lambda op, a, b: ast.Binary(NOWHERE, op, a, b, NOWHERE), st.sampled_from(ops), expr, expr)


def _extend(expr: Any) -> Any:
    none = st.none()
    steps = st.tuples(none, st.just(False)) | st.tuples(expr, st.just(False)) | st.tuples(ints | floats, st.just(True))
    return (
        _binary(["or", "and", "in", "+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">="], expr)
        | _node(ast.Unary, st.sampled_from(["-", "not"]), expr) | _node(ast.Cond, expr, expr, expr)
        | st.builds(lambda a, b, s: ast.Range(NOWHERE, a, b, *s), expr, expr, steps)
        | _node(ast.ListOf, _few(expr)) | _node(ast.Comprehension, expr, names, expr, none | expr)
        | _node(ast.Member, expr, names) | _node(ast.Index, expr, expr) | _node(ast.Call, expr, _few(expr), _args(expr))
        | _node(ast.Refine, expr, _args(expr)) | _interpolated(expr)
    )  # fmt: skip


expressions = st.recursive(atoms, _extend, max_leaves=12)
strings = _node(ast.String, texts.map(lambda t: (t,) if t else ()))
some_names = st.lists(names, min_size=1, max_size=3).map(tuple)
lets = _node(ast.Let, names, expressions)
simple_statements = (
    lets | _node(ast.Attr, keys, st.booleans(), expressions) | _node(ast.Axis, keys, expressions)
    | _node(ast.Exclude, expressions, st.none() | strings) | _node(ast.Include, _args(expressions))
    | _node(ast.Sample, expressions, st.none() | expressions) | _node(ast.Pairwise, st.none() | expressions)
    | _node(ast.Measure, some_names, st.booleans())
    | _node(
        ast.Expect, st.sampled_from(["expect", "warn"]), expressions, st.none() | expressions, st.just(()) | some_names
    )
)  # fmt: skip


def _nested(inner: Any) -> Any:
    bodies = st.lists(inner, max_size=4).map(tuple)
    return st.builds(lambda kind, body: ast.Block(NOWHERE, kind, None, None, body, NOWHERE), names, bodies)


statements = simple_statements | _nested(simple_statements | _nested(simple_statements))
parents = st.none() | names | _node(ast.Member, names, names)
blocks = st.builds(
    lambda kind, name, parent, body: ast.Block(NOWHERE, kind, name, parent, body, NOWHERE),
    names, names, parents, st.lists(statements, max_size=6).map(tuple),
)  # fmt: skip
uses = st.builds(lambda p, a: ast.Use(NOWHERE, p, a, ()), strings, names) | st.builds(
    lambda p, n: ast.Use(NOWHERE, p, None, n), strings, some_names
)
files = st.lists(uses | lets | blocks, max_size=5).map(
    lambda items: ast.File(NOWHERE.source, ast.Edition(NOWHERE, 1), tuple(items), ())
)
