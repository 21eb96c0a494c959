"""Which mistake a faulty statement probably holds.

In: the tokens of one statement and where the parser got stuck. Out: one diagnostic. Guarantee: exactly one, always;
the rules below stand in order, from the certain to the vague, and each knows one wrong shape.
"""

from __future__ import annotations

from collections.abc import Callable

from mobench_lang.diagnostics import Diagnostic
from mobench_lang.frozen import frozen
from mobench_lang.source import Source, Span
from mobench_lang.syntax import messages
from mobench_lang.syntax.lalr import Stuck
from mobench_lang.syntax.scan import KEYWORDS, RESERVED, UNITS, Kind, Token

BINARY = frozenset(["+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">=", "..", "and", "or", "in"])
COMPARISONS = frozenset(["==", "!=", "<", "<=", ">", ">="])
FORMS = frozenset(["use", "let", "exclude", "include", "sample", "pairwise", "measure", "expect", "warn"])
_BEHIND_A_VALUE = (BINARY - {"in"}) | {",", ".", "?"}
_BEFORE_A_VALUE = BINARY | {"=", ",", "not", "where", "per", "because", "if", "then", "else", "(", "[", ".", ":"}
_NEVER_A_VALUE = BINARY | RESERVED | {",", "=", ")", "]", "}", ":", ".", "?"}
_LEADING = frozenset(["and", "or", "in", "where", "per", "because", "then", "else", "extends"])
_IMPORTS = frozenset(["import", "from", "require", "using"])  # what other languages write for `use`
BODY_WORDS = FORMS - {"use", "let"}


@frozen
class Fault:
    """A statement that does not parse: its tokens, the index at which the parser got stuck, where it stands."""

    source: Source
    tokens: list[Token]
    at: int
    top: bool
    stuck: Stuck | None

    def token(self, index: int) -> Token | None:
        """The token at an index, None outside the statement."""
        return self.tokens[index] if 0 <= index < len(self.tokens) else None

    def text(self, index: int) -> str:
        """The text of the token at an index, empty outside the statement."""
        token = self.token(index)
        return token.text if token else ""

    def span(self, index: int, to: int | None = None) -> Span:
        """The place of a token, or from one token to another; behind the last one, the place just after it."""
        if index >= len(self.tokens):
            end = self.tokens[-1].end
            return Span(self.source, end, end)
        return Span(self.source, self.tokens[index].start, self.tokens[index if to is None else to].end)

    def is_value(self, index: int, begins: bool) -> bool:
        """True if the token can begin (or end) a value."""
        token = self.token(index)
        if token is None:
            return False
        if token.kind is Kind.NAME:
            return token.text not in RESERVED or (begins and token.text in ("if", "not"))
        if token.kind in (Kind.NUMBER, Kind.STRING):
            return True
        return token.text in (("(", "[") if begins else (")", "]", "}"))

    def open_brackets(self, upto: int) -> list[str]:
        """The brackets that are open before the token at an index."""
        stack: list[str] = []
        for token in self.tokens[:upto]:
            if token.kind is Kind.BRACKET:
                if token.text in "([{":
                    stack.append(token.text)
                elif stack:
                    stack.pop()
        return stack


def classify(fault: Fault) -> Diagnostic:
    """The diagnostic of a faulty statement."""
    for rule in _RULES:
        found = rule(fault)
        if found is not None:
            return found
    if fault.at >= len(fault.tokens):
        return messages.unfinished(fault.span(fault.at), fault.tokens[-1].text)
    return messages.unexpected(fault.span(fault.at), f"`{fault.text(fault.at)}`", _wanted(fault))


# --------------------------------------------------------------------- characters


def _bad_token(f: Fault) -> Diagnostic | None:
    """A token that is no part of the language, unless the parser got stuck well before it."""
    index = next((i for i, t in enumerate(f.tokens) if t.kind.is_bad), None)
    if index is None or index > f.at + 1:
        return None
    token, span, before = f.tokens[index], f.span(index), f.token(index - 1)
    if before is not None and before.kind is Kind.NUMBER and (token.text[0] == "°" or token.text == "%"):
        return messages.detached_unit(f.span(index - 1, index), before.text, token.text)
    if token.text in (":=", "===", "=>", "->"):
        return messages.wrong_assignment(span)
    return messages.bad_token(token.kind, span)


# ------------------------------------------------------------------ whole statements


def _top_level(f: Fault) -> Diagnostic | None:
    """What belongs into a block and stands at the top of the file."""
    if not f.top:
        return None
    first, second = f.text(0), f.text(1)
    if first == "mobench" and f.tokens[0].kind is Kind.NAME:
        return messages.edition_not_first(f.span(0, len(f.tokens) - 1))
    if first in _IMPORTS and (token := f.token(1)) is not None and token.kind in (Kind.STRING, Kind.NAME) and f.at == 1:
        return messages.form("use", f.span(0))
    if first in BODY_WORDS and second not in ("=", "in"):
        return messages.outside_bench(f.span(0), first)
    if f.tokens[0].kind is Kind.NAME and first not in FORMS and second == "=" and f.at <= 1:
        return messages.attribute_outside(f.span(0), first)
    if f.tokens[0].kind is Kind.NAME and first not in FORMS and second in ("in", "?") and f.at <= 1:
        return messages.attribute_outside(f.span(0), first)
    return None


def _key(f: Fault) -> Diagnostic | None:
    """Faults between a key and its value."""
    base = 1 if f.text(0) == "let" else 0
    key, sign = f.token(base), f.text(base + 1)
    if key is None:
        return None
    if key.kind is Kind.STRING and sign in ("=", ":", "==", "in"):
        return messages.quoted_key(f.span(base))
    if key.text in _LEADING and base == 0 and sign not in ("=", "in", "?"):
        return messages.leading_operator(f.span(0), key.text)
    if key.text == "-" and base == 0:
        return messages.yaml(f.span(0), "a list is written `[a, b]`")
    if key.kind is not Kind.NAME:
        return None
    if base == 1 and f.at == 1 and key.text in KEYWORDS:
        return messages.keyword_as_name(f.span(1), key.text)
    if f.at == base + 1:
        if sign == "==":
            return messages.double_equals(f.span(f.at))
        if sign == ":":
            if f.token(base + 2) is None:
                return messages.yaml(f.span(f.at), f"a block is written `{key.text} {{ … }}`")
            return messages.colon(f.span(f.at))
    if f.at == base + 2 and ((sign == "in" and f.text(f.at) == "=") or (sign == "=" and f.text(f.at) == "in")):
        return messages.in_with_equals(f.span(base + 1, f.at), key.text)
    return None


def _equals(f: Fault) -> Diagnostic | None:
    """A key with its value directly behind it, or with nothing."""
    base = 1 if f.text(0) == "let" else 0
    key = f.token(base)
    if key is None or key.kind is not Kind.NAME or (base == 0 and key.text in FORMS) or (f.top and base == 0):
        return None
    after = base + 1 + (f.text(base + 1) == "?" and base == 0)
    if (
        f.at == after
        and f.is_value(after, begins=True)
        and not any(t.text in ("=", "{") for t in f.tokens[after : after + 2])
    ):
        return messages.missing_equals(f.span(base), f.span(after), f.span(after, len(f.tokens) - 1))
    if f.at == after == len(f.tokens):
        return messages.missing_value_of(f.span(base))
    return None


def _head(f: Fault) -> Diagnostic | None:
    """`kind name` without a brace, or a brace without its partner in the head."""
    words = f.tokens[:2]
    if len(words) < 1 or words[0].kind is not Kind.NAME or words[0].text in FORMS:
        return None
    if not f.top and len(words) == 2 and words[1].kind is not Kind.NAME:
        return None
    if f.at >= len(f.tokens) and (f.top or len(words) == 2):
        return messages.missing_brace(f.span(len(f.tokens) - 1), None)
    if len(words) == 2 and words[1].kind is Kind.NAME and f.text(2) == "=" and f.text(len(f.tokens) - 1) == "}":
        return messages.missing_brace(f.span(0), None)
    return None


def _form(f: Fault) -> Diagnostic | None:
    """A statement that begins with its word and goes wrong at once."""
    word = f.text(0)
    if word not in FORMS or f.tokens[0].kind is not Kind.NAME:
        return None
    here = f.span(f.at)
    if word == "use":
        return messages.form(word, here)
    if f.at == 1 or (f.at == 2 and word in ("let", "include")):
        return messages.form(word, here)
    return None


# ----------------------------------------------------------------------- expressions


def _operators(f: Fault) -> Diagnostic | None:
    """A value is missing on one side of an operator or a comma."""
    before, here = f.token(f.at - 1), f.token(f.at)
    if f.at == 0 and here is not None and here.text in _BEHIND_A_VALUE:
        return messages.leading_operator(f.span(0), here.text)
    if before is None or before.kind is Kind.STRING or before.text not in _BEFORE_A_VALUE:
        return None
    if here is None:
        return messages.missing_value(f.span(f.at - 1), None)
    if here.kind is Kind.NAME and here.text in RESERVED - BINARY and before.text in ("=", ",", "(", "["):
        return messages.keyword_as_value(f.span(f.at), here.text)
    if here.text in _NEVER_A_VALUE:
        return messages.missing_value(f.span(f.at - 1), f.span(f.at))
    return None


def _units(f: Fault) -> Diagnostic | None:
    """`30 s`: a number, a space and its unit."""
    before, here = f.token(f.at - 1), f.token(f.at)
    if before is None or here is None or before.kind is not Kind.NUMBER or here.kind is not Kind.NAME:
        return None
    if not before.text[-1].isdigit() or here.text in KEYWORDS or f.text(f.at + 1) in ("=", "in", "?", "{"):
        return None
    unit, last = here.text, f.at
    if f.text(f.at + 1) == "/" and f"{unit}/{f.text(f.at + 2)}" in UNITS:
        unit, last = f"{unit}/{f.text(f.at + 2)}", f.at + 2
    if not messages.units_like(unit):
        return None
    return messages.detached_unit(f.span(f.at - 1, last), before.text, unit)


def _entries(f: Fault) -> Diagnostic | None:
    """Faults between a key and its value inside brackets."""
    brackets, key = f.open_brackets(f.at), f.token(f.at - 1)
    if not brackets or key is None or key.kind is not Kind.NAME or f.text(f.at - 2) not in ("{", "(", ","):
        return None
    if f.text(f.at) == ":":
        return messages.colon(f.span(f.at))
    if brackets[-1] == "{" and f.text(f.at) == "==":
        return messages.double_equals(f.span(f.at))
    if brackets[-1] == "{" and f.is_value(f.at, begins=True):
        return messages.missing_equals(f.span(f.at - 1), f.span(f.at), f.span(f.at))
    return None


def _next_line(f: Fault) -> Diagnostic | None:
    """`key =` with its value on the next line."""
    before, here = f.token(f.at - 1), f.token(f.at)
    if before is None or here is None or before.text not in ("=", "in") or here.line == before.line:
        return None
    return messages.value_on_next_line(f.span(f.at - 1), f.span(f.at))


def _lists(f: Fault) -> Diagnostic | None:
    """Faults inside brackets: a lost comma, `if` for `where`."""
    brackets = f.open_brackets(f.at)
    here = f.token(f.at)
    if here is None:
        return None
    if here.text == "if" and brackets[-1:] == ["["] and any(t.text == "for" for t in f.tokens[: f.at]):
        return messages.comprehension_if(f.span(f.at))
    if not f.is_value(f.at - 1, begins=False) or not f.is_value(f.at, begins=True):
        return None
    if brackets:
        return messages.missing_comma(f.span(f.at - 1), f.span(f.at))
    if f.text(0) == "measure" or "per" in [t.text for t in f.tokens[: f.at]]:
        return messages.missing_comma(f.span(f.at - 1), f.span(f.at))
    if here.kind is Kind.NAME and f.text(f.at + 1) in ("=", "in", "?", "{"):
        return messages.two_statements(f.span(f.at), f.span(f.at - 1))
    return None


def _comparisons(f: Fault) -> Diagnostic | None:
    """`a < b < c`, and `=` for `==` in a condition."""
    here = f.text(f.at)
    depth = len(f.open_brackets(f.at))
    if here in COMPARISONS:
        for index in range(f.at - 1, -1, -1):
            if len(f.open_brackets(index)) == depth:
                if f.text(index) in ("and", "or", "not", "where", ","):
                    break
                if f.text(index) in COMPARISONS:
                    return messages.chained(f.span(f.at), f.span(index))
    if (
        here == "="
        and f.at > 1
        and (f.text(0) in ("expect", "warn", "exclude") or "where" in [t.text for t in f.tokens[: f.at]])
    ):
        return messages.single_equals(f.span(f.at))
    return None


def _commas(f: Fault) -> Diagnostic | None:
    """A comma where the line end already separates."""
    if f.text(f.at) == "," and f.at > 0 and not f.open_brackets(f.at):
        key, after = f.token(0), f.text(f.at + 2)
        listed = f.is_value(f.at + 1, begins=True) and after not in ("=", "in", "?", "{", "==", ":")
        if listed and key is not None and key.kind is Kind.NAME and f.text(1) in ("=", "in"):
            return messages.list_without_brackets(f.span(2, len(f.tokens) - 1))
        return messages.needless_comma(f.span(f.at), last=f.at == len(f.tokens) - 1)
    if f.at >= len(f.tokens) and f.text(len(f.tokens) - 1) == "," and f.text(0) != "measure" and len(f.tokens) > 2:
        return messages.needless_comma(f.span(len(f.tokens) - 1), last=True)
    return None


def _keywords(f: Fault) -> Diagnostic | None:
    """A reserved word where a name is due."""
    here = f.token(f.at)
    if here is None or here.kind is not Kind.NAME or here.text not in KEYWORDS or f.stuck is None:
        return None
    if "NAME" in f.stuck.wanted:
        return messages.keyword_as_name(f.span(f.at), here.text)
    return None


_RULES: tuple[Callable[[Fault], Diagnostic | None], ...] = (
    _bad_token, _next_line, _top_level, _key, _commas, _entries, _units, _comparisons, _lists, _operators, _equals,
    _head, _keywords, _form,
)  # fmt: skip

_FRIENDLY = {
    "NAME": "a name", "EQUAL": "`=`", "LBRACE": "`{`", "RBRACE": "`}`", "RPAR": "`)`", "RSQB": "`]`", "COMMA": "`,`",
    "STRING": "a text", "INT": "a whole number", "IN": "`in`", "WHERE": "`where`", "FOR": "`for`", "THEN": "`then`",
    "ELSE": "`else`", "SEED": "`seed`", "DOT": "`.`", "QMARK": "`?`", "_NL": "the end of the line",
}  # fmt: skip


def _wanted(f: Fault) -> tuple[str, ...]:
    """What would have fitted, if that is short to say."""
    if f.stuck is None:
        return ()
    wanted = f.stuck.wanted
    if {"INT", "STRING", "NAME"} <= wanted:
        return ("a value",)
    friendly = sorted({_FRIENDLY[w] for w in wanted if w in _FRIENDLY})
    return tuple(friendly) if len(friendly) == len(wanted) <= 4 else ()
