"""The folder that `compile` makes for a phone: the texts a person reviews, and what shellcheck says of them."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mobench_lang.plan.render import render, renderer
from tests.conftest import Golden
from tests.plan.test_compile import build
from tests.targets.shell.conftest import VALUES

SPEC = """
model m {{ source = path("m.gguf") }}
device phone {{ target = android, serial = "SECRET", hub_port = "9-8.7:6" }}
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
    for name in ("restore.sh", "README.md"):
        golden(f"android/{name}", (folder / name).read_text())
    # The rest of run.sh is the base's, and golden there.
    base = render(renderer("mobench_targets.shell", ()), "shell_run.sh.j2", VALUES).splitlines()
    own = [line[2:] for line in difflib.ndiff(base, (folder / "run.sh").read_text().splitlines()) if line[:1] == "+"]
    golden("android/run_own.sh", "\n".join(own) + "\n")
    for path in folder.iterdir():
        assert not re.search(r"SECRET|9-8\.7", path.read_text())  # an address is no part of a plan
    places = json.loads((folder.parent / "places.json").read_text())
    assert places["devices"]["phone"] == {"serial": "SECRET", "hub_port": "9-8.7:6"}


@pytest.mark.parametrize("more", ["", CONDITIONS], ids=["plain", "conditions"])
def test_shellcheck_finds_nothing(tmp_path: Path, more: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.fail("shellcheck is missing: python3 .ci/setup.py tools installs the packages of the tests")
    build(tmp_path, SPEC.format(more=more))
    scripts = [tmp_path / "build" / "phone" / name for name in ("run.sh", "restore.sh")]
    found = subprocess.run(["shellcheck", "--shell=sh", *scripts], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
