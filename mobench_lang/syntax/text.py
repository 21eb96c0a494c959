"""Bytes to a `Source`, and what is wrong with a text before anybody parses it.

In: a path, or bytes with a name. Out: a `Source` whose text is UTF-8 without its byte order mark, or diagnostics.
Guarantee: any file, however large or binary, is answered in bounded time and memory; nothing raises. Characters that
deceive the reader (invisible ones, those that reorder text, lone carriage returns) are faults wherever they stand,
in strings and comments too: see "Trojan Source", CVE-2021-42574.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from mobench_lang.diagnostics import Diagnostic, Diagnostics, Edit
from mobench_lang.source import Source
from mobench_lang.syntax import messages
from mobench_lang.syntax.scan import STRING_OR_COMMENT

MOST_BYTES = 1 << 19
LONGEST_LINE = 100_000
DEEPEST = 100
MOST_FAULTS = 20
MOST_EDITS = 50_000  # of one fault; `check --fix` a second time does the rest

# Controls except tab, line feed and carriage return; lone surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# Zero-width and bidirectional characters, soft hyphen, tags, interlinear marks, variation selectors 17 to 256.
_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_SUSPECT = re.compile(f"{_CONTROL.pattern}|{_INVISIBLE.pattern}|\r(?!\n)")
_LINE = re.compile(r"[^\r\n]+")
_LONE_RETURN = re.compile("\r(?!\n)")


def read(path: Path, name: str | None = None) -> Source | Diagnostics:
    """The source of a file, or why there is none; `name` is what a person sees instead of the path."""
    shown = name or str(path)
    nothing = Source(shown, "", path).span(0, 0)
    try:
        if path.is_dir():
            return (messages.unreadable(nothing, "it is a folder"),)
        if not path.exists():
            return (messages.unreadable(nothing, "there is no such file"),)
        if not path.is_file():
            return (messages.unreadable(nothing, "it is not a regular file"),)
        size = path.stat().st_size
        if size > MOST_BYTES:
            return (messages.too_large(nothing, size, MOST_BYTES),)
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as e:
        reason = e.strerror.lower() if isinstance(e, OSError) and e.strerror else "its name is not valid"
        return (messages.unreadable(nothing, reason),)
    return decode(data, shown, path)


def decode(data: bytes, name: str, path: Path | None = None) -> Source | Diagnostics:
    """The source of some bytes, or why they are no text."""
    nothing = Source(name, "", path).span(0, 0)
    if len(data) > MOST_BYTES:
        return (messages.too_large(nothing, len(data), MOST_BYTES),)
    encoding = _other_encoding(data)
    if encoding is not None:
        return (messages.not_utf8(nothing, 0, encoding),)
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return Source(name, data.decode("utf-8"), path)
    except UnicodeDecodeError as e:
        source = Source(name, data.decode("utf-8", errors="replace"), path)
        at = len(data[: e.start].decode("utf-8"))
        return (messages.not_utf8(source.span(at, at + 1), e.start, None),)


def _other_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32, by its mark or by the zeros that ASCII text has in it."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    head = data[:200]
    if len(head) >= 4 and (head[1::2].count(0) > len(head) // 3 or head[::2].count(0) > len(head) // 3):
        return "UTF-16" if head.count(0) <= len(head) * 2 // 3 else None
    return None


def check_text(source: Source) -> tuple[list[Diagnostic], bool]:
    """What is wrong with the characters and the extent of a text, and whether it is worth parsing all the same."""
    text = source.text
    found: list[Diagnostic] = []
    if len(text) > MOST_BYTES:
        return [messages.too_large(source.span(0, 0), len(text), MOST_BYTES)], False
    if len(text) > LONGEST_LINE:
        long = next((line for line in _LINE.finditer(text) if line.end() - line.start() > LONGEST_LINE), None)
        if long:
            place = source.span(long.start(), long.start() + 1)
            return [messages.line_too_long(place, long.end() - long.start(), LONGEST_LINE)], False
    if not text.isascii() or _SUSPECT.search(text):
        found = _characters(source)
        if "\0" in text:
            return found[:1], False
    if sum(map(text.count, "([{")) > DEEPEST:
        deep = _too_deep(source)
        if deep is not None:
            return [*found, deep], False
    return found, True


def _characters(source: Source) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    returns = [m.start() for m in _LONE_RETURN.finditer(source.text)]
    if returns:
        edits = tuple(Edit(source.span(at, at + 1), "\n") for at in returns[:MOST_EDITS])
        found.append(messages.carriage_return(source.span(returns[0], returns[0] + 1), len(returns), edits))
    for match in _CONTROL.finditer(source.text):
        found.append(messages.control_character(source.span(*match.span()), ord(match[0])))
        if len(found) >= MOST_FAULTS:
            return found
    strings = [m.span() for m in STRING_OR_COMMENT.finditer(source.text) if not m[1]]
    lines: dict[int, list[int]] = {}
    for match in _INVISIBLE.finditer(source.text):
        lines.setdefault(source.position(match.start())[0], []).append(match.start())
    for offsets in lines.values():
        inside = [any(a <= at < b for a, b in strings) for at in offsets]
        edits = tuple(
            Edit(source.span(at, at + 1), f"\\u{{{ord(source.text[at]):x}}}" if quoted else "")
            for at, quoted in zip(offsets, inside, strict=True)
        )
        char = source.text[offsets[0]]
        name = f"U+{ord(char):04X} {unicodedata.name(char, '').lower()}".strip()
        found.append(messages.invisible(source.span(offsets[0], offsets[0] + 1), name, edits, inside[0]))
        if len(found) >= MOST_FAULTS:
            break
    return found


def _too_deep(source: Source) -> Diagnostic | None:
    bracket = re.compile(STRING_OR_COMMENT.pattern + r"|([(\[{])|([)\]}])")
    depth = 0
    for match in bracket.finditer(source.text):
        if match[2]:
            depth += 1
            if depth > DEEPEST:
                return messages.too_deep(source.span(*match.span()), DEEPEST)
        elif match[3]:
            depth = max(0, depth - 1)
    return None


def deceives(char: str) -> bool:
    """True for a character that `check_text` reports wherever it stands."""
    return _SUSPECT.fullmatch(char) is not None
