"""Operators on values: what goes together, and what comes out.

In: two values and an operator. Out: a value, or None where the two do not go together. Guarantee: exact in 34 digits;
dimensions are kept (a temperature minus a temperature is a difference, tokens by time are a rate).
"""

from __future__ import annotations

from decimal import Decimal

from mobench_lang.check.units import ARITHMETIC, Qty
from mobench_lang.check.values import Ent, Val, is_list, same

MAX_INT = 2**63


def plain(value: Decimal) -> int | Decimal:
    """A whole decimal as an int, so that it can count."""
    return int(value) if value == value.to_integral_value() and abs(value) < MAX_INT else value


# (left base, operator, right base) -> base of the result and the factor to it
_DERIVED = {
    ("tok", "/", "ns"): ("tok/s", Decimal("1e9")),
    ("tok/s", "*", "ns"): ("tok", Decimal("1e-9")),
    ("ns", "*", "tok/s"): ("tok", Decimal("1e-9")),
    ("tok", "/", "tok/s"): ("ns", Decimal("1e9")),
    ("µJ", "/", "tok"): ("µJ/tok", Decimal(1)),
    ("µJ/tok", "*", "tok"): ("µJ", Decimal(1)),
    ("tok", "*", "µJ/tok"): ("µJ", Decimal(1)),
    ("µJ", "/", "ns"): ("µW", Decimal("1e9")),
    ("µW", "*", "ns"): ("µJ", Decimal("1e-9")),
    ("ns", "*", "µW"): ("µJ", Decimal("1e-9")),
}


def arithmetic(op: str, left: Val, right: Val) -> Val:
    """`left op right` for numbers and quantities; None where they do not go together.

    Raises ZeroDivisionError and DecimalException.
    """
    if isinstance(left, bool) or isinstance(right, bool):
        return None
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return _numbers(op, left, right)
    if isinstance(left, Qty) and isinstance(right, Qty):
        return _quantities(op, left, right)
    if isinstance(left, Qty) and isinstance(right, int | Decimal):
        if op in "*/" and left.base != "m°C":
            return _scaled(op, left, Decimal(right))
        if left.base in ("1", "tok"):
            return _numbers(op, plain(left.value), right)
        return None
    if isinstance(left, int | Decimal) and isinstance(right, Qty):
        if right.base == "1":
            return _numbers(op, left, right.value)
        if op == "*" and right.base != "m°C":
            return _scaled("*", right, Decimal(left))
        if right.base == "tok":
            return _numbers(op, left, plain(right.value))
    return None


def _scaled(op: str, qty: Qty, number: Decimal) -> Qty:
    if op == "/" and number == 0:
        raise ZeroDivisionError
    return Qty((ARITHMETIC.multiply if op == "*" else ARITHMETIC.divide)(qty.value, number), qty.base)


def _numbers(op: str, left: int | Decimal, right: int | Decimal) -> Val:
    if isinstance(left, int) and isinstance(right, int) and op != "/":
        return left + right if op == "+" else left - right if op == "-" else left * right
    a, b = Decimal(left), Decimal(right)
    if op == "/" and b == 0:
        raise ZeroDivisionError
    do = {"+": ARITHMETIC.add, "-": ARITHMETIC.subtract, "*": ARITHMETIC.multiply, "/": ARITHMETIC.divide}[op]
    return plain(do(a, b))


def _quantities(op: str, left: Qty, right: Qty) -> Val:
    a, b = left.value, right.value
    derived = _DERIVED.get((left.base, op, right.base))
    if derived is not None:
        if op == "/" and b == 0:
            raise ZeroDivisionError
        made = (ARITHMETIC.multiply if op == "*" else ARITHMETIC.divide)(a, b)
        return Qty(ARITHMETIC.multiply(made, derived[1]), derived[0])
    if op in "+-":
        sign = 1 if op == "+" else -1
        if left.base == "m°C" or right.base == "m°C":
            if left.base == right.base:
                return Qty(ARITHMETIC.subtract(a, b), "mK") if op == "-" else None
            if left.base == "m°C" and right.base == "mK":
                return Qty(ARITHMETIC.add(a, sign * b), "m°C")
            return Qty(ARITHMETIC.add(a, b), "m°C") if (left.base, op) == ("mK", "+") else None
        if left.base == right.base:
            return Qty(ARITHMETIC.add(a, sign * b), left.base)
        if left.base == "1" and right.base == "pp":
            return Qty(ARITHMETIC.add(a, sign * b / 100), "1")
        return None
    if left.base == "1" and left.base == right.base:
        return Qty(ARITHMETIC.multiply(a, b), "1") if op == "*" else _numbers("/", a, b)
    if op == "*" and "1" in (left.base, right.base):
        ratio, other = (left, right) if left.base == "1" else (right, left)
        return None if other.base in ("m°C", "pp") else Qty(ARITHMETIC.multiply(ratio.value, other.value), other.base)
    if op == "/" and left.base == right.base and left.base != "m°C":
        return _numbers("/", a, b)
    if op == "/" and right.base == "1" and left.base not in ("m°C", "pp"):
        return _scaled("/", left, b)
    return None


def comparable(left: Val, right: Val, *, ordered: bool) -> bool:
    """True if `==` (or, if `ordered`, `<`) makes sense between the two."""
    if left is None or right is None:
        return not ordered
    if number_of(left) is not None and number_of(right) is not None:
        return True
    if isinstance(left, Qty) and isinstance(right, Qty):
        return left.base == right.base
    if ordered:
        return False
    if isinstance(left, Ent) and isinstance(right, Ent):
        return left.kind == right.kind
    if is_list(left) and is_list(right):
        return True
    return type(left) is type(right) and not isinstance(left, Qty)


def number_of(value: Val) -> Decimal | None:
    """A dimensionless number: bare, a ratio, or a count of tokens."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return value.value if isinstance(value, Qty) and value.base in ("1", "tok") else None


def compare(op: str, left: Val, right: Val) -> bool:
    """The truth of `left op right`, for values that are comparable."""
    a, b = number_of(left), number_of(right)
    if a is None or b is None:
        if isinstance(left, Qty) and isinstance(right, Qty):
            a, b = left.value, right.value
        else:
            return same(left, right) is (op == "==")
    return {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]
