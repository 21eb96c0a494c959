"""Reports: diagnostics, tables and verdicts for people and for programs.

In: records of the stages. Out: text. Guarantee: one record, several renderers; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from mobench_lang.diagnostics import Diagnostic


def render(found: Iterable[Diagnostic], form: str, *, color: bool = False) -> str:
    """Diagnostics in a format: `text`, `json`, `sarif` or `github`."""
    match form:
        case "json":
            from mobench_lang.report.json import render_json

            return render_json(found)
        case "sarif":
            from mobench_lang.report.sarif import render_sarif

            return render_sarif(found)
        case "github":
            from mobench_lang.report.github import render_github

            return render_github(found)
    from mobench_lang.report.text import render_text

    return render_text(found, color=color)
