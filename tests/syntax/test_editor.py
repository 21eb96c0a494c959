"""The editor's grammar knows the words and units of the language, all of them and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mobench_lang.syntax.scan import KEYWORDS, UNITS

FOLDER = Path(__file__).parent.parent.parent / "editors" / "vscode"


def test_the_files_of_the_extension_fit_together() -> None:
    package = json.loads((FOLDER / "package.json").read_text("utf-8"))
    named = package["contributes"]["languages"][0]["configuration"], package["contributes"]["grammars"][0]["path"]
    for name in named:
        assert json.loads((FOLDER / name).read_text("utf-8"))


def test_words_and_units_are_those_of_the_language() -> None:
    grammar = json.loads((FOLDER / "syntaxes" / "mobench.tmLanguage.json").read_text("utf-8"))
    rules = {r["name"]: r["match"] for r in grammar["repository"]["code"]["patterns"] if "match" in r}
    words = {w for name in rules if name.startswith(("keyword.control", "keyword.operator.word", "constant.language"))
             for w in re.findall(r"[a-z]+", rules[name].replace("\\b", ""))}  # fmt: skip
    assert words | {"mobench"} == KEYWORDS | {"as"}
    numeric = re.compile(rules["constant.numeric.quantity.mobench"])
    assert all(numeric.fullmatch(f"5{unit}") for unit in UNITS)
