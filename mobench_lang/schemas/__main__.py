"""`python -m mobench_lang.schemas`: write the JSON Schemas beside this file."""

from __future__ import annotations

from pathlib import Path

from mobench_lang.schemas import generate

for name, text in generate().items():
    Path(__file__).with_name(name).write_text(text, encoding="utf-8")
