"""The one style, by example; its properties stand in test_round_trip.py."""

from __future__ import annotations

from textwrap import dedent

import pytest

from mobench_lang.source import Source
from mobench_lang.syntax.format import format_source
from tests.syntax.examples import SPECS


def styled(text: str) -> str:
    out, found = format_source(Source("t.bench", dedent(text)))
    assert not found
    assert format_source(Source("t.bench", out)) == (out, ())
    return out


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_the_shipped_specs_are_in_style(spec: Source) -> None:
    assert format_source(spec)[0] == spec.text


def test_spaces_and_blank_lines() -> None:
    before = """\


        mobench   1
        let  a=[1,2 , 3 ,]   # one
        let bb = max( a[0] ,-1 ) *-2 -  3
        let c = if   not x then{}y else z
        """.replace("{}", " ")
    assert styled(before + "\n\n\n") == dedent("""\
        mobench 1

        let a  = [1, 2, 3]                               # one
        let bb = max(a[0], -1) * -2 - 3
        let c  = if not x then y else z
        """)


def test_blocks_on_one_line_and_on_many() -> None:
    before = """\
        mobench 1
        model m{source=path("x"),params=2}
        model n{
        source = path("x")


        params = 2

        }
        bench b {

          run { warmup = 1,
                repeat = 2 }
          engine = llama_cpp {threads=4
            batch = 8 }
          empty {
          }
        }
        """
    assert styled(before) == dedent("""\
        mobench 1

        model m { source = path("x"), params = 2 }

        model n {
          source = path("x")

          params = 2
        }

        bench b {
          run {
            warmup = 1
            repeat = 2
          }
          engine = llama_cpp {
            threads = 4
            batch   = 8
          }
          empty {}
        }
        """)


def test_lists_and_calls_over_several_lines() -> None:
    before = """\
        mobench 1
        let a = [
        1,   2,
            3 # three
        ]
        let m = hf("repo",
          rev = "main")
        let long = a +
        b
        use "std/models" {
          tiny, small
        }
        """
    assert styled(before) == dedent("""\
        mobench 1

        let a = [
          1, 2,
          3,                                             # three
        ]
        let m = hf("repo",
          rev = "main")
        let long = a +
            b
        use "std/models" {
          tiny, small,
        }
        """)


def test_columns() -> None:
    before = """\
        mobench 1
        bench b {
          matrix {
            model in [a]
            threads in 1..n * 2 : 2x
            # comments do not end a run
            q in 0 .. 4
            exclude where a == 1 because "x"
            exclude where threads > 12 because "y"
            exclude where b
          }
          model = tiny
          run { repeat = 3 }
          airplane? = on
          measure a
          measure? b, c
          expect p95(ttft) < 800ms where workload == w per device
          warn cv(x) < 5% per device, model

          expect a > 1
        }
        device a { target = ios, ram = 8GiB, class = phone }
        device long_name { target = android, ram = 16GiB, class = phone }
        device c { target = ios }
        """
    assert styled(before) == dedent("""\
        mobench 1

        bench b {
          matrix {
            model   in [a]
            threads in 1..n*2:2x
            # comments do not end a run
            q       in 0..4
            exclude where a == 1        because "x"
            exclude where threads > 12  because "y"
            exclude where b
          }
          model     = tiny
          run       { repeat = 3 }
          airplane? = on
          measure  a
          measure? b, c
          expect p95(ttft) < 800ms  where workload == w  per device
          warn   cv(x) < 5%                              per device, model

          expect a > 1
        }

        device a          { target = ios,     ram = 8GiB,  class = phone }
        device long_name  { target = android, ram = 16GiB, class = phone }
        device c          { target = ios }
        """)


def test_comments_stay_with_what_they_are_about() -> None:
    before = """\
        # licence
        mobench 1
        # about m
        model m { # behind the brace
        # first
          source = path("x") # why
            # before the end
        }
        # last"""
    assert styled(before) == dedent("""\
        # licence
        mobench 1

        # about m
        model m {                                        # behind the brace
          # first
          source = path("x")                             # why
          # before the end
        }

        # last
        """)


def test_wide_characters_count_two_columns() -> None:
    before = """\
        mobench 1
        bench b {
          expect a == "漢字" where b == "x" per c
          expect a == "abc" where b == "x" per c
        }
        """
    assert '"漢字"  where' in styled(before)
    assert '"abc"   where' in styled(before)


def test_line_ends_become_line_feeds() -> None:
    assert styled("mobench 1\r\nlet a = 1\r\n") == "mobench 1\n\nlet a = 1\n"


def test_a_text_with_errors_comes_back_as_it_was() -> None:
    source = Source("t", "mobench 1\nlet   a =\n")
    text, found = format_source(source)
    assert text is source.text
    assert [d.code for d in found] == ["E0126"]
