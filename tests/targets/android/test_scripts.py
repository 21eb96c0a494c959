"""The folder that `compile` makes for a phone: the texts a person reviews, and what shellcheck says of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Golden
from tests.plan.test_compile import build

SPEC = """
model m {{ source = path("m.gguf") }}
device phone {{ target = android, serial = "SECRET" }}
bench study {{
  model = m
  engine = llama_cpp
  device = phone
  workload = generate(prompt = 16, output = 8)
  run {{ repeat = 2 }}
  {more}
}}
"""
CONDITIONS = """conditions {
    airplane = on
    brightness = 20%
    screen = on
    charger? = off
    battery_floor = 30%
    fixed_performance? = on
    low_power = off
  }
  thermal { start_below = 38°C, abort_above = 70°C, cooldown = 10s }"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path, SPEC.format(more=CONDITIONS))
    return tmp_path / "build" / "phone"


def test_what_a_person_reviews(folder: Path, golden: Golden) -> None:
    for name in ("run.sh", "restore.sh", "README.md"):
        golden(f"android/{name}", (folder / name).read_text())
    for path in folder.iterdir():
        assert "SECRET" not in path.read_text()  # an address is no part of a plan


@pytest.mark.parametrize("more", ["", CONDITIONS], ids=["plain", "conditions"])
def test_shellcheck_finds_nothing(tmp_path: Path, more: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.fail("shellcheck is missing: python3 .ci/setup.py tools installs the packages of the tests")
    build(tmp_path, SPEC.format(more=more))
    scripts = [tmp_path / "build" / "phone" / name for name in ("run.sh", "restore.sh")]
    found = subprocess.run(["shellcheck", "--shell=sh", *scripts], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
