"""Bytes to texts: whatever a file holds, the answer is a diagnostic, soon, and never an exception."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobench_lang.diagnostics import Diagnostics
from mobench_lang.report.fixes import apply_fixes
from mobench_lang.source import Source
from mobench_lang.syntax import decode, parse, parse_expression, read

HEAD = "mobench 1\n"


def told(data: bytes | str) -> Diagnostics:
    """What is said about some bytes, by the reader or by the parser."""
    source = decode(data.encode() if isinstance(data, str) else data, "t.bench")
    return parse(source)[1] if isinstance(source, Source) else source


def places(found: Diagnostics) -> list[tuple[str, int, int]]:
    return [(d.code, d.span.line, d.span.column) for d in found]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"mobench 1\0\n", [("E0103", 1, 10)]),
        (b'mobench 1\nlet a = "\xff"\n', [("E0102", 2, 10)]),
        (b'mobench 1\nlet a = "\xc3', [("E0102", 2, 10)]),
        (b"\xef\xbb\xbfmobench 1\n", []),
        (b"mobench 1\r\nlet a = 1\r\n", []),
        (b"mobench 1\nlet a = 1", []),
        ("mobench 1\n".encode("utf-16"), [("E0102", 1, 1)]),
        ("mobench 1\n".encode("utf-16-le"), [("E0102", 1, 1)]),
        ("mobench 1\n".encode("utf-32"), [("E0102", 1, 1)]),
        (b"\x7fELF\0\0\0", [("E0103", 1, 1)]),
        (b"mobench 1\nlet a = 1\x1b[31m\n", [("E0103", 2, 10)]),
        (HEAD + "let a\u200b = 1\n", [("E0104", 2, 6)]),
        (HEAD + 'let a = "x\u202ey"\n', [("E0104", 2, 11)]),
        (HEAD + "# \u2066 hidden\n", [("E0104", 2, 3)]),
        (HEAD + "let a = 1\ufeff\nlet b = 2\u00ad\n", [("E0104", 2, 10), ("E0104", 3, 10)]),
        (HEAD + 'let a = "é\u0301 日本 🎉"\n', []),
        (b"mobench 1\rlet a = 1\r", [("E0103", 1, 10)]),
    ],
)
def test_characters(data: bytes | str, expected: list[tuple[str, int, int]]) -> None:
    assert places(told(data)) == expected


def test_an_invisible_character_becomes_an_escape_in_a_text_and_nothing_elsewhere() -> None:
    source = Source("t", HEAD + 'let a\u200b = "x\u202ey"\nlet b = 2 # \u2066\n')
    text, count = apply_fixes(source, parse(source)[1])
    assert (text, count) == (HEAD + 'let a = "x\\u{202e}y"\nlet b = 2 # \n', 2)
    assert not parse(Source("t", text))[1]
    value, _ = parse_expression('"\\u{202e}"')
    assert getattr(value, "plain", None) == "\u202e"


def test_lone_carriage_returns_become_line_feeds() -> None:
    source = Source("t", "mobench 1\rlet a = 1\rlet b = 2\r")
    found = parse(source)[1]
    assert places(found) == [("E0103", 1, 10)]
    text, _ = apply_fixes(source, found)
    assert text == "mobench 1\nlet a = 1\nlet b = 2\n"


HOSTILE = {
    "large": "#" * 600_000,
    "line": HEAD + 'let a = "' + "x" * 500_000 + '"\n',
    "brackets": HEAD + "let a = " + "[" * 10_000 + "]" * 10_000 + "\n",
    "open brackets": HEAD + "let a = " + "{[(" * 10_000,
    "not": HEAD + "let a = " + "not " * 10_000 + "x\n",
    "minus": HEAD + "let a = " + "-" * 10_000 + "x\n",
    "plus": HEAD + "let a = " + "1+\n" * 10_000 + "1\n",
    "if": HEAD + "let a = " + "if a then b else " * 5_000 + "x\n",
    "members": HEAD + "let a = x" + ".a" * 10_000 + "\n",
    "quotes": HEAD + "let a = " + '"${' * 10_000 + "\n",
    "closers": HEAD + "}\n" * 100_000,
    "junk": "@ ! ;\n" * 50_000,
    "digits": HEAD + "let a = " + "1" * 90_000 + "\n",
    "exponent": HEAD + "let a = 1e999999999\n",
    "edition": "mobench " + "9" * 50_000 + "\n",
    "comment": HEAD + "/*" * 40_000,
}
DEPTH = {"brackets", "open brackets", "not", "minus", "plus", "if", "members", "quotes"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_get_a_diagnostic(name: str) -> None:
    found = told(HOSTILE[name])
    assert found
    assert len(found) <= 130
    if name in DEPTH:
        assert {d.code for d in found} <= {"E0106", "E0147"}


def test_a_chain_of_a_hundred_is_fine_and_can_be_walked() -> None:
    assert not told(HEAD + "let a = " + "+".join("1" * 90) + "\n")
    assert not told(HEAD + "let a = " + "(" * 90 + "1" + ")" * 90 + "\n")


def test_hostile_texts_need_little_memory() -> None:
    program = (
        "from pathlib import Path\n"
        "from mobench_lang.syntax import decode, parse\n"
        "from tests.syntax.test_text import HOSTILE, told\n"
        "for text in HOSTILE.values(): told(text)\n"
        # Not ru_maxrss: a child inherits the peak of the process that forked it.
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line for line in lines if line.startswith('VmHWM')).split()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert int(done.stdout) < 300 * 1024  # kB


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "locked").write_text(HEAD)
    (tmp_path / "locked").chmod(0)
    os.mkfifo(tmp_path / "pipe")
    reasons = {}
    for path in (
        tmp_path,
        tmp_path / "none",
        tmp_path / "pipe",
        Path("/dev/zero"),
        tmp_path / "a\0b",
        tmp_path / ("x" * 300),
    ):
        answer = read(path, name="t.bench")
        assert isinstance(answer, tuple)
        (found,) = answer
        assert found.code == "E0101"
        reasons[path.name] = found.message
    assert "folder" in reasons[tmp_path.name]
    assert "no such file" in reasons["none"]
    assert "regular" in reasons["pipe"]
    if os.getuid():
        assert isinstance(read(tmp_path / "locked"), tuple)


def test_a_file_is_read_under_the_name_that_people_see(tmp_path: Path) -> None:
    path = tmp_path / "a.bench"
    path.write_bytes(b"\xef\xbb\xbfmobench 1\n")
    source = read(path, name="a.bench")
    assert isinstance(source, Source)
    assert (source.name, source.path, source.text) == ("a.bench", path, HEAD)


@pytest.mark.parametrize("text", ["", "  ", "# x", "1 +", "(", "1 2", "'x'", "\0"])
def test_expressions_alone_never_raise(text: str) -> None:
    value, found = parse_expression(text)
    assert value is None or not found
    assert found
