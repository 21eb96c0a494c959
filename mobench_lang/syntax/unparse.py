"""Trees back to text, in one canonical spelling without line breaks inside statements.

In: nodes of the tree, from a parse or made by hand. Out: text that parses to an equal tree (spans aside). Guarantee:
brackets stand only where the grammar needs them. The text of an anonymous engine or workload is its name in results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from mobench_lang.syntax import ast

# How tightly an expression binds; an operand that binds less tightly needs brackets.
_COND, _OR, _AND, _NOT, _COMPARE, _RANGE, _SUM, _PRODUCT, _MINUS, _POSTFIX = range(10)
_LEVELS = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}
_ESCAPED = re.compile(
    '["\\\\\n\t\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f'
    "\u3164\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e0fff]|[$](?=[{])"
)
_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "$": "\\$"}


def expression_text(node: ast.Expr) -> str:
    """The canonical text of an expression."""
    return _text(node, _COND)


def quoted(text: str) -> str:
    """A text as a string literal."""
    return '"' + _escape(text) + '"'


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda m: _NAMED.get(m[0]) or f"\\u{{{ord(m[0]):x}}}", text)


def _text(node: ast.Expr, least: int, tight: bool = False) -> str:
    """The text of a node where `least` may stand; `tight` for operators inside ranges."""
    text, level = _bare(node, tight)
    return text if level >= least else f"({_bare(node, False)[0]})"


def _bare(node: ast.Expr, tight: bool) -> tuple[str, int]:
    """The text of a node without brackets around it, and how tightly it binds."""
    match node:
        case ast.Cond():
            test, yes, no = (_text(n, _COND) for n in (node.test, node.yes, node.no))
            return f"if {test} then {yes} else {no}", _COND
        case ast.Binary():
            level = _LEVELS.get(node.op, _COMPARE)
            left = _text(node.left, level + (level == _COMPARE), tight)
            right = _text(node.right, level + 1, tight)
            gap = "" if tight and level in (_SUM, _PRODUCT) else " "
            return f"{left}{gap}{node.op}{gap}{right}", level
        case ast.Unary(op="not"):
            return f"not {_text(node.operand, _NOT)}", _NOT
        case ast.Unary():
            return f"-{_text(node.operand, _MINUS, tight)}", _MINUS
        case ast.Range():
            ends = f"{_text(node.start, _SUM, True)}..{_text(node.stop, _SUM, True)}"
            if node.step is None:
                return ends, _RANGE
            return f"{ends}:{_text(node.step, _SUM, True)}{'x' if node.geometric else ''}", _RANGE
        case _:
            return _postfix(node), _POSTFIX


def _postfix(node: ast.Expr) -> str:
    """The text of what binds tightest: atoms, calls, members."""
    match node:
        case ast.Name():
            return node.text
        case ast.Int():
            return str(node.value)
        case ast.Float():
            digits = _digits(node.value)
            return digits if "." in digits else f"{digits}.0"
        case ast.Quantity():
            return f"{_digits(node.value)}{node.unit}"
        case ast.Bool():
            return "true" if node.value else "false"
        case ast.Null():
            return "null"
        case ast.String():
            parts = (_escape(p) if isinstance(p, str) else f"${{{expression_text(p)}}}" for p in node.parts)
            return f'"{"".join(parts)}"'
        case ast.ListOf():
            return f"[{_commas(node.items)}]"
        case ast.Comprehension():
            where = f" where {expression_text(node.condition)}" if node.condition is not None else ""
            result, source = expression_text(node.result), expression_text(node.source)
            return f"[{result} for {node.name.text} in {source}{where}]"
        case ast.Member():
            return f"{_text(node.value, _POSTFIX)}.{node.name.text}"
        case ast.Index():
            return f"{_text(node.value, _POSTFIX)}[{expression_text(node.index)}]"
        case ast.Call():
            given = [*(expression_text(a) for a in node.args), *map(_arg, node.named)]
            return f"{_text(node.function, _POSTFIX)}({', '.join(given)})"
        case ast.Refine():
            return f"{_text(node.base, _POSTFIX)} {_record(node.entries)}"
    raise AssertionError(f"no atom: {node!r}")


def _digits(value: Decimal) -> str:
    return format(value, "f")


def _commas(nodes: Iterable[ast.Expr]) -> str:
    return ", ".join(expression_text(n) for n in nodes)


def _arg(arg: ast.Arg) -> str:
    return f"{arg.name.text} = {expression_text(arg.value)}"


def _record(entries: tuple[ast.Arg, ...]) -> str:
    return f"{{ {', '.join(map(_arg, entries))} }}" if entries else "{}"


def _names(names: Iterable[ast.Name]) -> str:
    return ", ".join(n.text for n in names)


def statement_text(node: ast.Stmt | ast.Use, indent: str = "") -> str:
    """The text of a statement; blocks with a body take one line a statement."""
    match node:
        case ast.Use(alias=ast.Name(text=alias)):
            return f"{indent}use {_postfix(node.path)} as {alias}"
        case ast.Use():
            return f"{indent}use {_postfix(node.path)} {{ {_names(node.names)} }}"
        case ast.Let():
            return f"{indent}let {node.name.text} = {expression_text(node.value)}"
        case ast.Attr():
            return f"{indent}{node.name.text}{'?' if node.optional else ''} = {expression_text(node.value)}"
        case ast.Axis():
            return f"{indent}{node.name.text} in {expression_text(node.values)}"
        case ast.Exclude():
            because = f" because {_postfix(node.because)}" if node.because is not None else ""
            return f"{indent}exclude where {expression_text(node.condition)}{because}"
        case ast.Include():
            return f"{indent}include {_record(node.entries)}"
        case ast.Sample():
            seed = f" seed {expression_text(node.seed)}" if node.seed is not None else ""
            return f"{indent}sample {expression_text(node.count)}{seed}"
        case ast.Pairwise():
            return f"{indent}pairwise" + (f" seed {expression_text(node.seed)}" if node.seed is not None else "")
        case ast.Measure():
            return f"{indent}measure{'?' if node.optional else ''} {_names(node.metrics)}"
        case ast.Expect():
            where = f" where {expression_text(node.condition)}" if node.condition is not None else ""
            per = f" per {_names(node.per)}" if node.per else ""
            return f"{indent}{node.severity} {expression_text(node.claim)}{where}{per}"
        case ast.Block():
            words = [node.kind.text, *([node.name.text] if node.name else [])]
            words += ["extends", expression_text(node.parent)] if node.parent is not None else []
            body = "".join(statement_text(s, indent + "  ") + "\n" for s in node.body)
            return f"{indent}{' '.join(words)} {{\n{body}{indent}}}" if body else f"{indent}{' '.join(words)} {{}}"
        case ast.Broken():
            return indent + node.span.text


def file_text(file: ast.File) -> str:
    """The text of a file, without its comments."""
    edition = [f"mobench {file.edition.number}\n"] if file.edition is not None else []
    return "\n".join([*edition, *(statement_text(item) + "\n" for item in file.items)])
