"""The golden fixture itself: it passes on equal text, fails on a difference or a missing file, and writes on demand."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = (Path(__file__).parent / "conftest.py").read_text("utf-8")


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_it(golden):\n    golden('deep/a.txt', 'one\\ntwo\\n')\ndef test_other():\n    pass\n")
    return pytester


def test_missing_file_fails_and_shows_the_text(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*deep/a.txt is missing*"])


def test_update_writes_then_passes(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--update-golden").assert_outcomes(passed=1, deselected=1)
    assert (suite.path / "golden/deep/a.txt").read_bytes() == b"one\ntwo\n"
    suite.runpytest_inprocess().assert_outcomes(passed=2)


def test_difference_fails_with_a_diff(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--update-golden")
    (suite.path / "golden/deep/a.txt").write_text("one\nthree\n", "utf-8")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*-three*", "*+two*"])


def test_update_is_refused_in_ci(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    suite.runpytest_inprocess("--update-golden").assert_outcomes(failed=1, deselected=1)


def test_unread_files_fail_a_complete_run(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--update-golden")
    assert suite.runpytest_inprocess("--complete-golden").ret == 0
    (suite.path / "golden/stale.txt").write_text("nobody reads me\n", "utf-8")
    result = suite.runpytest_inprocess("--complete-golden")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*golden/stale.txt*"])
