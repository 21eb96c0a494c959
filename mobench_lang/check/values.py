"""What expressions evaluate to, and how values are written.

In: nothing. Out: the runtime values of the evaluator (`bool`, `int`, `Decimal`, `str`, `Qty`, tuples and ranges, `Rec`,
`Ent`, `Word`, and the two non-values `Hidden` and `POISON`), their canonical texts, and their form in the IR.
Guarantee: equal values have equal canonical texts, independent of hash seeds and of where they were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from mobench_lang import ir
from mobench_lang.check.units import Qty, number, show
from mobench_lang.frozen import frozen
from mobench_lang.source import Span


@frozen
class Word:
    """An enum word, such as `Q8_0` or `phone`."""

    text: str


@frozen
class Hidden:
    """Something only the run will know, with the reason."""

    why: str


class Folder(str):
    """The folder a relative path starts from: carried along, but no part of what a source is called or hashed as."""

    __slots__ = ("path",)
    path: Path | None

    def __new__(cls, path: Path | None) -> Folder:
        """A folder; its text is empty."""
        made = super().__new__(cls, "")
        made.path = path
        return made


@frozen
class Poison:
    """The value of an expression whose fault has been reported; everything made from it is silent."""


POISON = Poison()


@frozen
class Rec:
    """A record of named values. `source` records carry the `kind` of source."""

    fields: Mapping[str, Val]

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.fields)))


@dataclass(frozen=True, eq=False)
class Ent:
    """A declared thing. `base` is the declaration that `==` compares; `pack` the plug-in behind it.

    `spans` are the places that set each attribute, `changed` the attributes that a refinement set on top of its
    declaration, `damaged` marks a declaration with a reported fault.
    """

    kind: str
    name: str
    base: object
    pack: str
    attrs: Mapping[str, Val]
    spans: Mapping[str, Span]
    span: Span | None
    changed: frozenset[str] = frozenset()
    damaged: bool = False


Val: TypeAlias = "bool | int | Decimal | str | Qty | Word | Hidden | Poison | Rec | Ent | Sequence[Val] | None"


def is_list(value: Val) -> bool:
    """True for lists, which are tuples or ranges."""
    return isinstance(value, tuple | range)


def text(value: Val) -> str:
    """The canonical text of a value, as it stands in results and names."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int():
            return str(value)
        case Decimal():
            return number(value)
        case str():
            return quote(value)
        case Qty():
            return show(value)
        case Word():
            return value.text
        case Ent():
            return value.name
        case Hidden():
            return "unknown"
        case Rec():
            if "kind" in value.fields:
                rest = {
                    k: v for k, v in value.fields.items() if k != "kind" and v is not None and not isinstance(v, Folder)
                }
                return f"{value.fields['kind']}({', '.join(f'{k} = {text(v)}' for k, v in sorted(rest.items()))})"
            return "{ " + ", ".join(f"{k} = {text(v)}" for k, v in value.fields.items()) + " }"
        case Poison():
            return "?"
    return "[" + ", ".join(text(v) for v in value) + "]"


def label(value: Val) -> str:
    """The text of an axis value in results: strings stand without quotes."""
    return value if isinstance(value, str) else text(value)


def quote(value: str) -> str:
    """A string as it is written in a spec."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def kind_of(value: Val) -> str:
    """What a value is, for people: `a duration`, `an engine`, `a list`."""
    match value:
        case bool():
            return "true or false"
        case int() | Decimal():
            return "a bare number"
        case str():
            return "a string"
        case Qty():
            return value.dimension.spoken
        case Word():
            return f"the word `{value.text}`"
        case Ent():
            return ("an " if value.kind[0] in "aeiou" else "a ") + value.kind
        case Rec():
            return "a source" if "kind" in value.fields else "a record"
        case None:
            return "null"
        case Hidden():
            return "a value that only the run knows"
        case Poison():
            return "something wrong"
    return "a list"


def to_ir(value: Val) -> ir.Value:
    """The value as plain data of the IR."""
    match value:
        case bool() | int() | str() | None:
            return value
        case Decimal():
            return exact(value)
        case Qty():
            return ir.Quantity(value=exact(value.value), unit=value.base)
        case Word():
            return value.text
        case Hidden():
            return ir.Unknown(unknown=value.why)
        case Ent():
            attrs = tuple((k, to_ir(value.attrs[k])) for k in sorted(value.attrs))
            return ir.Entity(kind=value.kind, name=value.name, base=str(value.base), pack=value.pack, attrs=attrs)
        case Rec():
            fields = sorted(((k, v) for k, v in value.fields.items() if not isinstance(v, Folder)), key=lambda f: f[0])
            return ir.Record(fields=tuple((k, to_ir(v)) for k, v in fields))
        case Poison():
            raise AssertionError("a poisoned value reached the IR")
    return tuple(to_ir(v) for v in value)


def exact(value: Decimal) -> Decimal:
    """The number with one text, so that `60s` and `1min` are one thing to every digest."""
    return Decimal(number(value))


def same(left: Val, right: Val) -> bool:
    """The language's `==`: references compare declarations, numbers compare by value."""
    if isinstance(left, Ent) and isinstance(right, Ent):
        return left.base is right.base or left.base == right.base
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return left == right
    if is_list(left) and is_list(right):
        assert isinstance(left, Sequence)  # noqa: S101 - is_list said so
        assert isinstance(right, Sequence)  # noqa: S101 - is_list said so
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, Rec) and isinstance(right, Rec):
        return text(left) == text(right)
    return type(left) is type(right) and left == right
