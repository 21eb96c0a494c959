"""Diagnostics as JSON, for editors and scripts.

In: diagnostics. Out: an array of objects, one per diagnostic; the schema is `to_record`. Guarantee: lines and columns
are whole numbers from 1, columns count code points, and keys stand in one order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mobench_lang.diagnostics import Diagnostic, Fix
from mobench_lang.source import Span


def render_json(found: Iterable[Diagnostic]) -> str:
    """The array, indented, with a line end behind it."""
    return json.dumps([to_record(d) for d in found], indent=2, ensure_ascii=False) + "\n"


def to_record(d: Diagnostic) -> dict[str, Any]:  # Any: JSON
    """One diagnostic as plain data."""
    return {
        "code": d.code,
        "severity": d.severity.value,
        "message": d.message,
        **_place(d.span),
        "label": d.label,
        "labels": [{"message": label.message, **_place(label.span)} for label in d.labels],
        "helps": list(d.helps),
        "facts": {name: list(value) if isinstance(value, tuple) else value for name, value in d.facts},
        "fixes": [_fix(fix) for fix in d.fixes],
    }


def _place(span: Span) -> dict[str, Any]:
    end_line, end_column = span.end_position
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    edits = [{**_place(edit.span), "text": edit.text} for edit in fix.edits]
    return {"message": fix.message, "safe": fix.safe, "edits": edits}
