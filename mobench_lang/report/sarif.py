"""Diagnostics as SARIF 2.1.0, for code scanning services.

In: diagnostics. Out: one run with the rules that occur. Guarantee: regions count code points from 1, file names are
URIs, and the result depends on nothing but the diagnostics and mobench's version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from mobench_lang import __version__
from mobench_lang.diagnostics import Diagnostic, Edit, Fix, codes
from mobench_lang.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_sarif(found: Iterable[Diagnostic]) -> str:
    """The log, indented, with a line end behind it."""
    findings = list(found)
    rules = sorted({d.code for d in findings})
    driver = {
        "name": "mobench",
        "semanticVersion": __version__,
        "rules": [{"id": code, "shortDescription": {"text": codes().get(code, code)}} for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(d, rules.index(d.code)) for d in findings],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _result(d: Diagnostic, rule: int) -> dict[str, Any]:  # Any: JSON
    said = ". ".join([d.message, *d.helps])
    result: dict[str, Any] = {
        "ruleId": d.code,
        "ruleIndex": rule,
        "level": d.severity.value,
        "message": {"text": said},
        "locations": [_location(d.span)],
    }
    if d.labels:
        result["relatedLocations"] = [
            {"id": i, "message": {"text": label.message}, **_location(label.span)}
            for i, label in enumerate(d.labels, 1)
        ]
    fixes = [_fix(fix) for fix in d.fixes if fix.edits]
    if fixes:
        result["fixes"] = fixes
    return result


def _location(span: Span) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(span)}, "region": _region(span)}}


def _region(span: Span) -> dict[str, int]:
    end_line, end_column = span.end_position
    return {"startLine": span.line, "startColumn": span.column, "endLine": end_line, "endColumn": end_column}


def _uri(span: Span) -> str:
    path = PurePath(span.source.name)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _fix(fix: Fix) -> dict[str, Any]:
    changes: dict[str, list[Edit]] = {}
    for edit in fix.edits:
        changes.setdefault(_uri(edit.span), []).append(edit)
    return {
        "description": {"text": fix.message},
        "artifactChanges": [
            {
                "artifactLocation": {"uri": uri},
                "replacements": [
                    {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}} for edit in edits
                ],
            }
            for uri, edits in changes.items()
        ],
    }
