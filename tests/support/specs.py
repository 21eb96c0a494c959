"""Small specs for tests of the checker: `compiles(…)` gives the bench, `rejects(…, "E0312", at="15")` the finding.

`bench(…)` writes a spec of one bench with a model, an engine, a device
and a workload, of which any can be left out to be opened as an axis. Files that a spec reads are given by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mobench_lang import ir
from mobench_lang.check import Checked, check_source
from mobench_lang.diagnostics import Diagnostic
from mobench_lang.matrix import Count, expand
from mobench_lang.source import Source

ROLES = {
    "model": "model    = m",
    "engine": "engine   = llama_cpp",
    "device": "device   = local",
    "workload": "workload = generate(prompt = 64, output = 16)",
}
MODEL = 'model m { source = path("m.gguf"), quants = [F16, Q8_0], context = 4096 }'


def bench(body: str = "", *, without: str = "", before: str = "") -> str:
    """A spec with one bench `b`, whose body is the four roles but those in `without`, then `body`."""
    roles = "\n".join(text for role, text in ROLES.items() if role not in without.split())
    return f"{MODEL}\n{before}\nbench b {{\n{roles}\n{body}\n}}\n"


def matrix(body: str, *, without: str = "", before: str = "", after: str = "") -> str:
    """A spec with one bench whose matrix is `body`."""
    return bench(f"matrix {{\n{body}\n}}\n{after}", without=without, before=before)


def check(text: str, files: Mapping[str, str] | None = None, *, need_bench: bool = False) -> Checked:
    """Everything that is said about a spec, in a folder of its own with `m.gguf` and the given files."""
    whole = text if text.startswith("mobench") else f"mobench 1\n{text}"
    with tempfile.TemporaryDirectory(prefix="mobench-test-") as name:
        folder = Path(name)
        (folder / "m.gguf").write_bytes(b"weights")
        for file, content in (files or {}).items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
        return check_source(Source("spec.bench", whole, folder / "spec.bench"), folder, need_bench=need_bench)


def declares(text: str, files: Mapping[str, str] | None = None) -> None:
    """A file without a bench is fine: nothing is said about it."""
    found = check(text, files)
    assert not found.diagnostics, shown(found.diagnostics)


def compiles(text: str, files: Mapping[str, str] | None = None, *, warns: tuple[str, ...] = ()) -> ir.Bench:
    """The bench of a spec about which nothing is said but these warnings."""
    found = check(text, files)
    assert sorted({d.code for d in found.diagnostics}) == sorted(warns), shown(found.diagnostics)
    assert found.bench is not None
    return found.bench


def rejects(
    text: str, code: str, at: str | None = None, *, files: Mapping[str, str] | None = None, also: tuple[str, ...] = ()
) -> Diagnostic:
    """The one finding of a code, at exactly the text `at`; nothing else is said but the codes in `also`."""
    found = check(text, files)
    assert sorted(d.code for d in found.diagnostics) == sorted([code, *also]), shown(found.diagnostics)
    (one,) = (d for d in found.diagnostics if d.code == code)
    if at is not None:
        assert one.span.text == at, f"{one.span.text!r} instead of {at!r}"
    return one


def cells(spec: ir.Bench, count: Count | None = None) -> list[dict[str, str]]:
    """The cells of a bench by labels, in order."""
    return [
        {axis.name: axis.labels[i] for axis, i in zip(spec.axes, vector, strict=True)} for vector in expand(spec, count)
    ]


def values(expression: str, before: str = "") -> list[str]:
    """What a list evaluates to, as the labels of an axis that reads it."""
    text = matrix(
        f"n in {expression}\nworkload in [generate(prompt = 1, output = len([n]))]", without="workload", before=before
    )
    return list(axis(compiles(text), "n").labels)


def value(expression: str, before: str = "") -> str:
    """What an expression evaluates to, as the label of an axis of one."""
    return values(f"[{expression}]", before)[0]


def axis(spec: ir.Bench, name: str) -> ir.Axis:
    """An axis by name."""
    return next(a for a in spec.axes if a.name == name)


def shown(found: tuple[Diagnostic, ...]) -> str:
    """Findings one a line, for people who read a failing test."""
    return "\n".join(f"{d.code} {d.span.source.name}:{d.span.line}: {d.message} [{d.span.text[:60]}]" for d in found)
