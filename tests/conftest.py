"""What every test may use: the `golden` fixture and its switches.

`golden(name, actual)` compares a text with `tests/golden/<name>` and shows the difference; `make golden` (that is
`pytest --update-golden`) runs the tests that use it and rewrites the files that differ, to be reviewed as text with
`git diff`. A file that is missing fails the test too, so nothing becomes golden unseen; under `CI=true` nothing is ever
rewritten. `--complete-golden` fails a whole run that left golden files unread: nobody compares them any more.
"""

from __future__ import annotations

import difflib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
TARGETS = Path(__file__).parent / "targets"

Golden = Callable[[str, str], None]

READ = pytest.StashKey[set[Path]]()
"""The golden files that this run compared."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two switches."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code says now")
    parser.addoption("--complete-golden", action="store_true", help="fail if a file of tests/golden was not compared")


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is compared yet; and an interrupt interrupts what tests start, also where a script began this run with
    `&`, which makes it be ignored by all below."""
    config.stash[READ] = set()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the tests of devices, which take longest; and run nothing but the tests with golden files when these
    are to be rewritten."""
    items.sort(key=lambda item: TARGETS not in item.path.parents)
    if config.getoption("--update-golden"):
        chosen = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Name the golden files that nobody compared; a process of several leaves that to the one that waits for them."""
    ours = getattr(session.config, "workeroutput", None)
    if ours is not None:
        ours["read"] = sorted(str(path) for path in session.config.stash[READ])
        return
    if not session.config.getoption("--complete-golden") or session.testsfailed:
        return
    unread = sorted(path for path in GOLDEN.rglob("*") if path.is_file() and path not in session.config.stash[READ])
    if unread:
        names = "".join(f"\n  {path.relative_to(GOLDEN.parent.parent)}" for path in unread)
        print(f"\nno test compares these golden files; remove them or test them:{names}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # Any: of pytest-xdist, which has no types
    """Take over what one of several processes compared."""
    del error
    compared: set[Path] = node.config.stash[READ]
    compared.update(map(Path, getattr(node, "workeroutput", {}).get("read", ())))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with a file under `tests/golden`; the name may hold folders (`plan/quickstart.json`)."""
    update = bool(request.config.getoption("--update-golden")) and os.environ.get("CI") != "true"

    def compare(name: str, actual: str) -> None:
        __tracebackhide__ = True
        path = GOLDEN / name
        if GOLDEN.resolve() not in path.resolve().parents:
            raise ValueError(f"the golden name {name!r} leaves tests/golden")
        request.config.stash[READ].add(path)
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
