"""Coverage-guided fuzzing of everything that reads a spec's text: decode, parse, check, format.

In: mutated bytes, seeded with the shipped specs and those of the tests. Out: nothing, or atheris's report of a crash.
Run by hand, in an environment of its own:

    pip install atheris && python -m tests.fuzz.fuzz_check -max_total_time=600

A finding is any exception, and formatted text that reads back as another text.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mobench_lang"]):
    from mobench_lang.check import check_source
    from mobench_lang.diagnostics import has_errors
    from mobench_lang.report import render
    from mobench_lang.syntax import decode
    from mobench_lang.syntax.format import format_source

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(tempfile.mkdtemp(prefix="mobench-fuzz-"))


def one(data: bytes) -> None:
    """Read some bytes as a spec, all the way."""
    source = decode(data, "fuzz.bench", FOLDER / "fuzz.bench")
    if isinstance(source, tuple):
        render(source, "text")
        return
    checked = check_source(source, FOLDER)
    for form in ("text", "json", "sarif", "github"):
        render(checked.diagnostics, form)
    text, found = format_source(source)
    if not has_errors(found):
        again = decode(text.encode(), "fuzz.bench", FOLDER / "fuzz.bench")
        assert not isinstance(again, tuple)
        assert format_source(again)[0] == text


def main() -> None:
    """Seed and fuzz."""
    corpus = Path(tempfile.mkdtemp(prefix="mobench-corpus-"))
    for folder in ("specs", "tests"):
        for number, path in enumerate(sorted((ROOT / folder).rglob("*.bench"))):
            (corpus / f"{folder}-{number}").write_bytes(path.read_bytes())
    atheris.Setup([*sys.argv, str(corpus), "-max_len=4096", "-timeout=20", "-rss_limit_mb=2048"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
