"""Texts to syntax trees, and back.

In: a `Source`. Out: `ast.File` with the diagnostics of its text, an expression's tree, or the text in its one style.
Guarantee: nothing here raises on a user's text; every fault is a `Diagnostic` with its place.
"""

from mobench_lang.syntax.read import parse, parse_expression
from mobench_lang.syntax.text import decode, read

__all__ = ["decode", "parse", "parse_expression", "read"]
