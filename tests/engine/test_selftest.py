"""Whether llama.cpp computes here: what `doctor` says of one that does, and of one that ends its process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mobench_lang import plugins
from mobench_lang.engines.llama_cpp import selftest

CRASHES = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
REFUSES = "import sys\nsys.exit('half a line\\nno space left on device')\n"


def test_the_installed_library_computes() -> None:
    done = subprocess.run([sys.executable, "-m", selftest.__name__], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("quantize", "worker", "said"),
    [
        ("", CRASHES, "a Q8_0 model cannot be run: llama.cpp ended with SIGSEGV"),
        (CRASHES, "", "a model cannot be quantized: llama.cpp ended with SIGSEGV"),
        (REFUSES, "", "a model cannot be quantized: no space left on device"),
        ("", "raise SystemExit(7)", "a Q8_0 model cannot be run: exit status 7"),
    ],
)
def test_a_library_that_was_compiled_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantize: str, worker: str, said: str
) -> None:
    package = tmp_path / "of_the_test"
    package.mkdir()
    for name, text in (("quantize", quantize), ("worker", worker)):
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(selftest, "PACKAGE", "of_the_test")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engine = plugins.engine("llama_cpp")
    assert isinstance(engine, plugins.Diagnosed)
    found = {finding.about: finding for finding in engine.diagnose(tmp_path)}
    assert found["build"].level == "ok"
    assert (found["self-test"].level, found["self-test"].found) == ("bad", said)
    assert "CXXFLAGS=-U__AMX_INT8__" in found["self-test"].help


def test_without_room_for_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert selftest.fault().startswith("it cannot be tried: [Errno 2] No such file or directory: ")
