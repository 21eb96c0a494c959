"""What every test may use: the `golden` fixture and its `--update-golden` switch.

`golden(name, actual)` compares a text with `tests/golden/<name>` and shows the difference; `make golden` (that is
`pytest --update-golden`) rewrites the files that differ, to be reviewed as text with `git diff`. A file that is missing
fails the test too, so nothing becomes golden unseen; under `CI=true` nothing is ever rewritten.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-golden`."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code says now")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with a file under `tests/golden`; the name may hold folders (`plan/quickstart.json`)."""
    update = bool(request.config.getoption("--update-golden")) and os.environ.get("CI") != "true"

    def compare(name: str, actual: str) -> None:
        __tracebackhide__ = True
        path = GOLDEN / name
        if GOLDEN.resolve() not in path.resolve().parents:
            raise ValueError(f"the golden name {name!r} leaves tests/golden")
        expected = path.read_bytes().decode("utf-8") if path.exists() else None
        if expected == actual:
            return
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(actual.encode("utf-8"))
            return
        if expected is None:
            pytest.fail(f"tests/golden/{name} is missing; `make golden` writes it. Its text would be:\n{actual}")
        diff = difflib.unified_diff(
            expected.splitlines(), actual.splitlines(), f"tests/golden/{name}", "what the code says now", lineterm=""
        )
        text = "\n".join(diff) or "(they differ in line ends only)"
        pytest.fail(f"{text}\n`make golden` accepts the new text.", pytrace=False)

    return compare
