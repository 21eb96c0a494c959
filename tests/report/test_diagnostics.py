"""Diagnostics in each of their forms: whole outputs are golden, and nothing in a text can break a form."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.diagnostics import Diagnostic, Edit, Fix, Label
from mobench_lang.report.fixes import apply_fixes
from mobench_lang.report.github import render_github
from mobench_lang.report.json import render_json
from mobench_lang.report.sarif import render_sarif
from mobench_lang.report.text import render_text, summary
from mobench_lang.source import Source, Span
from mobench_lang.width import text_width
from tests.conftest import Golden

SPEC = Source(
    "specs/edge.bench",
    "mobench 1\n"
    + "\n" * 26
    + "bench b {\n"
    + "  run      { warmup = 2, repeat = 10, order = interleaved, timeout = 15 }\n"
    + "  thermal  { start_below = 34°C }\n"
    + "}\n",
)
LAB = Source("specs/lab.bench", "mobench 1\n\ndevice pixel8 { class = phone }\n")


def at(source: Source, text: str, nth: int = 0) -> Span:
    begin = -1
    for _ in range(nth + 1):
        begin = source.text.index(text, begin + 1)
    return source.span(begin, begin + len(text))


BARE = Diagnostic(
    "E0120",
    "expected a duration, found a bare number",
    at(SPEC, "15"),
    label="needs a unit",
    helps=("write `15s`, `15min` …          (accepted: ns us ms s min h)",),
    facts=(("dimension", "time"), ("found", 15), ("accepted", ("ns", "us", "ms", "s", "min", "h"))),
    fixes=(Fix("write `15s`", (Edit(at(SPEC, "15"), "15s"),)), Fix("write `15min`", (Edit(at(SPEC, "15"), "15min"),))),
)
CROWD = Diagnostic(
    "E0133",
    "three things disagree",
    at(SPEC, "repeat"),
    label="this one",
    labels=(
        Label(at(SPEC, "warmup"), "with this"),
        Label(at(SPEC, "order"), "and with this"),
        Label(at(SPEC, "bench"), "in here"),
        Label(at(LAB, "pixel8"), "declared in another file"),
        Label(at(SPEC, "34°C"), ""),
    ),
    helps=("first line\nsecond line",),
    fixes=(Fix("put it right", (Edit(at(SPEC, "repeat"), "repeats"), Edit(at(SPEC, "warmup"), "warm")), True),),
)
WARNING = Diagnostic("W0201", "a warning, with a comma: and a colon, 100%", at(SPEC, "}\n", 2))
NO_FILE = Diagnostic("E0101", "cannot read gone.bench: there is no such file", Source("gone.bench", "").span(0, 0))
ALL = [BARE, CROWD, WARNING, NO_FILE]


def test_the_form_of_a_diagnostic() -> None:
    assert render_text([Diagnostic("E0312", BARE.message, BARE.span, label=BARE.label, helps=BARE.helps)]) == (
        "error[E0312]: expected a duration, found a bare number\n"
        "  ┌ specs/edge.bench:29:70\n"
        "29│   run      { warmup = 2, repeat = 10, order = interleaved, timeout = 15 }\n"
        "  │                                                                      ^^ needs a unit\n"
        "  = help: write `15s`, `15min` …          (accepted: ns us ms s min h)\n"
    )


def test_text(golden: Golden) -> None:
    golden("report/diagnostics.txt", render_text(ALL))


def test_text_in_colour(golden: Golden) -> None:
    golden("report/diagnostics.ansi", render_text(ALL, color=True))


def test_json(golden: Golden) -> None:
    golden("report/diagnostics.json", render_json(ALL))


def test_sarif(golden: Golden) -> None:
    golden("report/diagnostics.sarif", render_sarif(ALL))


def test_github(golden: Golden) -> None:
    golden("report/diagnostics.github", render_github(ALL))


def test_nothing_found() -> None:
    assert (render_text([]), render_json([]), render_github([])) == ("", "[]\n", "")
    assert json.loads(render_sarif([]))["runs"][0]["results"] == []


def test_summary() -> None:
    assert summary([]) == "no errors"
    assert summary([WARNING]) == "1 warning"
    assert summary(ALL) == "3 errors, 1 warning"


def shown(line: str, word: str, columns: int = 120) -> tuple[str, str]:
    """The source line and the marks under it, as rendered, for a mark on `word`."""
    source = Source("t", line)
    lines = render_text([Diagnostic("E0120", "m", at(source, word))], columns=columns).split("\n")
    return lines[2].removeprefix("1│ "), lines[3].removeprefix(" │ ")


def test_marks_stand_under_what_they_mean() -> None:
    assert shown("\ta = x", "x") == ("    a = x", "        ^")
    assert shown("ab\tx", "x") == ("ab  x", "    ^")
    assert shown('a = "漢字" x', "x") == ('a = "漢字" x', "           ^")
    assert shown('a = "漢字"', "漢字") == ('a = "漢字"', "     ^^^^")
    assert shown("e\u0301e\u0301 x", "x") == ("e\u0301e\u0301 x", "   ^")
    assert shown("🎉 x", "x") == ("🎉 x", "   ^")
    assert shown("a\u200bb x", "x") == ("a<U+200B>b x", "           ^")
    assert shown("a\x1b[31m x", "x") == ("a␛[31m x", "       ^")


def test_long_lines_are_cut_around_the_mark() -> None:
    line = " ".join(f"w{i}" for i in range(200))
    text, marks = shown(line, "w150", columns=60)
    assert text.startswith("…")
    assert text.endswith("…")
    assert text_width(text) <= 58
    assert text[marks.index("^") : marks.index("^") + 4] == "w150"
    start, marks = shown(line, "w0 ", columns=60)
    assert start.startswith("w0 w1")
    assert marks == "^^^"
    end, marks = shown(line, "w199", columns=60)
    assert end.endswith("w199")
    assert end[marks.index("^") :] == "w199"


def test_a_place_at_the_end_of_the_text_has_a_mark() -> None:
    source = Source("t", "a =")
    assert render_text([Diagnostic("E0120", "m", source.span(3, 3))]).split("\n")[3] == " │    ^"


any_text = st.text(st.characters(codec="utf-8"), max_size=60)


@settings(deadline=None, max_examples=200)
@given(any_text, st.integers(0, 60), st.integers(0, 60), any_text)
def test_no_text_breaks_a_form(text: str, begin: int, length: int, message: str) -> None:
    source = Source(message, text)
    start = min(begin, len(text))
    d = Diagnostic("E0120", message, source.span(start, min(start + length, len(text))), message, helps=(message,))
    for line in render_text([d], columns=50).split("\n"):
        assert not any(c < " " or "\x7f" <= c < "\xa0" for c in line)
    assert json.loads(render_json([d]))[0]["message"] == message
    assert json.loads(render_sarif([d]))["runs"][0]["results"][0]["ruleId"] == "E0120"
    command = render_github([d])
    assert command.count("\n") == 1
    assert command.startswith("::error file=")


def fix(begin: int, end: int, text: str, *more: Edit, safe: bool = True) -> Diagnostic:
    return Diagnostic(
        "E0120", "m", SPEC.span(begin, end), fixes=(Fix("f", (Edit(SPEC.span(begin, end), text), *more), safe),)
    )


def test_safe_fixes_are_applied_together() -> None:
    text, count = apply_fixes(SPEC, [fix(8, 9, "2"), fix(0, 0, "# new\n"), fix(0, 7, "MOBENCH", safe=False)])
    assert (text, count) == ("# new\n" + SPEC.text.replace("mobench 1", "mobench 2"), 2)


def test_fixes_that_overlap_wait_for_another_run() -> None:
    text, count = apply_fixes(SPEC, [fix(0, 9, "x"), fix(3, 5, "y"), fix(9, 9, "z")])
    assert (text, count) == ("xz" + SPEC.text[9:], 2)
    assert apply_fixes(SPEC, [fix(0, 0, "x"), fix(0, 0, "y")])[1] == 1


def test_a_fix_is_applied_whole_or_not_at_all() -> None:
    elsewhere = Edit(LAB.span(0, 1), "x")
    assert apply_fixes(SPEC, [fix(0, 1, "x", elsewhere)]) == (SPEC.text, 0)
    assert apply_fixes(SPEC, [fix(0, 1, "x"), fix(8, 9, "2", Edit(SPEC.span(0, 1), "y"))]) == ("x" + SPEC.text[1:], 1)
