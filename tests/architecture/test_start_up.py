"""What the command line loads before it needs it: help and checks stay quick, and no check imports platform code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

PROGRAM = """
import json, sys
out = sys.argv.pop(1)
from mobench_lang.cli.main import main
try:
    main()
except SystemExit as end:
    status = end.code
else:
    status = 0
with open(out, "w") as file:
    json.dump({"status": status, "modules": sorted(sys.modules)}, file)
"""

NEVER = {"duckdb", "scipy", "numpy", "llama_cpp", "adbutils", "pymobiledevice3", "asyncssh", "altair", "pygls"}
"""Libraries of the verbs that run and evaluate."""

LATER = {"lark", "pydantic", "jinja2", "importlib.metadata", "importlib.resources", "difflib", "tempfile"}
"""What only a cold cache, a file from elsewhere, a build or a fault needs."""


def loaded(tmp_path: Path, *arguments: str) -> set[str]:
    """The modules that a verb has loaded when it ends."""
    out = tmp_path / "modules.json"
    environment = {**os.environ, "MOBENCH_GRAMMAR_CACHE": "on", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    argv = [sys.executable, "-c", PROGRAM, str(out), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert out.exists(), done.stderr
    facts = json.loads(out.read_text("utf-8"))
    assert facts["status"] in (0, None), done.stdout + done.stderr
    return set(facts["modules"])


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_loads_nothing_heavy(tmp_path: Path, argument: str) -> None:
    assert loaded(tmp_path, argument) & (NEVER | LATER) == set()


def test_checking_a_spec_imports_neither_platform_code_nor_the_store(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "check", str(ROOT / "specs" / "examples" / "quickstart.bench"))
    assert not modules & NEVER
    packs = [
        m for m in modules if m.startswith(("mobench_targets.", "mobench_lang.engines.", "mobench_plugin_example."))
    ]
    assert not packs


def test_checking_a_good_spec_with_good_packs_loads_only_what_it_uses(tmp_path: Path) -> None:
    spec = str(ROOT / "specs" / "examples" / "quickstart.bench")
    loaded(tmp_path, "check", spec)  # the tables of the grammar are in the cache now
    assert loaded(tmp_path, "check", spec) & LATER == set()
