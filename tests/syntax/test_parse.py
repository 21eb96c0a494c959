"""What is read from a text, construct by construct, and where it stands."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given, settings

from mobench_lang.source import Source
from mobench_lang.syntax import ast, parse, parse_expression
from mobench_lang.syntax.unparse import expression_text, file_text, quoted
from tests.syntax.examples import SPECS, spec
from tests.syntax.trees import files, shape

EXPRESSIONS = get_args(ast.Expr)


def expression(text: str) -> Any:
    value, found = parse_expression(text)
    assert not found, text
    return value


def statements(text: str) -> tuple[ast.Stmt, ...]:
    file, found = parse(Source("t", f"mobench 1\nbench b {{\n{text}\n}}\n"))
    assert not found, text
    (block,) = file.items
    assert isinstance(block, ast.Block)
    return block.body


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a or b and not c == d", "a or (b and (not (c == d)))"),
        ("1 + 2 * 3 - 4 / 5", "(1 + (2 * 3)) - (4 / 5)"),
        ("-a.b * c", "(-(a.b)) * c"),
        ("a - b - c", "(a - b) - c"),
        ("not a in b", "not (a in b)"),
        ("1..n*2", "1..(n * 2)"),
        ("model.lo..hi", "(model.lo)..hi"),
        ("a..b:c + 1", "a..b:(c + 1)"),
        ("x in 1..8", "x in (1..8)"),
        ("if a then b else if c then d else e", "if a then b else (if c then d else e)"),
        ("f(x)[0].y { a = 1 }", "((f(x)[0]).y) { a = 1 }"),
        ("[a for b in c where d or e]", "[a for b in c where (d or e)]"),
        ("(((a)))", "a"),
        ("[\n  1,\n  2,\n]", "[1, 2]"),
        ("a +\n  b", "a + b"),
        ("x {\n  a = 1\n  b = 2\n}", "x { a = 1, b = 2 }"),
    ],
)
def test_how_tightly_operators_bind(text: str, meant: str) -> None:
    assert shape(expression(text)) == shape(expression(meant))


def test_numbers_and_units() -> None:
    assert expression("1_000").value == 1000
    assert expression("2.50").value == Decimal("2.5")
    assert expression("1e3").value == 1000
    for text, value, unit in [
        ("800ms", "800", "ms"), ("0.35J/tok", "0.35", "J/tok"), ("12tok/s", "12", "tok/s"), ("40°C", "40", "°C"),
        ("40C", "40", "C"), ("4K", "4", "K"), ("60%", "60", "%"), ("1.5pp", "1.5", "pp"), ("8GiB", "8", "GiB"),
        ("3\u03bcs", "3", "µs"), ("3µs", "3", "µs"), ("512tok", "512", "tok"), ("1e3mWh", "1000", "mWh"),
    ]:  # fmt: skip
        read = expression(text)
        assert (read.value, read.unit) == (Decimal(value), unit)


def test_ranges() -> None:
    assert (expression("1..8").step, expression("1..8").geometric) == (None, False)
    assert (expression("0..512:64").step.value, expression("0..512:64").geometric) == (64, False)
    assert (expression("1..64:2x").step.value, expression("1..64:2x").geometric) == (2, True)
    assert expression("1..64:1.5x").step.value == Decimal("1.5")


def test_strings() -> None:
    assert expression('"a\\n\\t\\"\\\\\\${b}\\u{e9}"').plain == 'a\n\t"\\${b}é'
    assert expression('"$5 {x}"').plain == "$5 {x}"
    assert expression('""').plain == ""
    text = 'mobench 1\nlet a = "run-${model.name}-${xs["k"]}-${llama_cpp { threads = 4 }.threads}!"\n'
    file, found = parse(Source("t", text))
    assert not found
    (let,) = file.items
    assert isinstance(let, ast.Let)
    assert isinstance(let.value, ast.String)
    first, name, second, index, third, threads, last = let.value.parts
    assert (first, second, third, last) == ("run-", "-", "-", "!")
    assert isinstance(name, ast.Member)
    assert (name.span.text, name.span.line, name.span.column) == ("model.name", 2, 16)
    assert isinstance(index, ast.Index)
    assert index.span.text == 'xs["k"]'
    assert isinstance(threads, ast.Member)
    assert let.value.plain is None


def test_statements() -> None:
    kinds = {
        "let a = 1": ast.Let, "a = 1": ast.Attr, "a? = 1": ast.Attr, "a in [1]": ast.Axis,
        'exclude where a because "b"': ast.Exclude, "include { a = 1 }": ast.Include, "sample 200 seed 7": ast.Sample,
        "pairwise": ast.Pairwise, "pairwise seed 7": ast.Pairwise, "measure a, b": ast.Measure,
        "measure? a": ast.Measure, "expect a < 1 where b per c, d": ast.Expect, "warn a": ast.Expect,
        "zip { a in [1], b in [2] }": ast.Block, "run { a = 1 }": ast.Block,
    }  # fmt: skip
    for text, kind in kinds.items():
        (read,) = statements(text)
        assert type(read) is kind
        assert read.span.text == text
    (optional,) = statements("measure? a,\n  b")
    assert isinstance(optional, ast.Measure)
    assert (optional.optional, [n.text for n in optional.metrics]) == (True, ["a", "b"])


@pytest.mark.parametrize(
    "key", ["per", "where", "in", "for", "if", "let", "measure", "expect", "sample", "seed", "use", "mobench"]
)
def test_words_of_the_language_may_name_attributes_and_axes(key: str) -> None:
    attribute, optional, axis = statements(f"{key} = 1\n{key}? = 2\n{key} in [3]")
    assert isinstance(attribute, ast.Attr)
    assert isinstance(optional, ast.Attr)
    assert isinstance(axis, ast.Axis)
    assert {attribute.name.text, optional.name.text, axis.name.text} == {key}


def test_declarations_and_imports() -> None:
    text = 'mobench 1\nuse "a" as x\nuse "b" { y, z, }\nengine e extends x.llama { threads = 4 }\n'
    file, found = parse(Source("t", text))
    assert not found
    first, second, engine = file.items
    assert isinstance(first, ast.Use)
    assert isinstance(second, ast.Use)
    assert isinstance(engine, ast.Block)
    assert first.alias is not None
    assert (first.alias.text, [n.text for n in second.names]) == ("x", ["y", "z"])
    assert isinstance(engine.parent, ast.Member)
    assert engine.head.text == "engine e extends x.llama"


def test_comments_are_kept_beside_the_tree() -> None:
    file, _ = parse(Source("t", '# a\nmobench 1 # b\nlet s = "# no ${f("# no")}"# c\n'))
    assert [(c.text, c.own_line, c.span.line) for c in file.comments] == [
        ("# a", True, 1), ("# b", False, 2), ("# c", False, 3),
    ]  # fmt: skip


def nodes(value: Any) -> list[ast.Node]:
    if isinstance(value, tuple):
        return [n for v in value for n in nodes(v)]
    if not isinstance(value, ast.Node):
        return []
    return [value, *(n for f in fields(value) for n in nodes(getattr(value, f.name)))]


def check_spans(file: ast.File) -> None:
    for node in nodes(file.items):
        for child in (c for f in fields(node) for c in nodes(getattr(node, f.name))):
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end
        assert node.span.text == node.span.text.strip()
        if isinstance(node, EXPRESSIONS) and not isinstance(node, ast.Name) and not node.span.text.endswith("x"):
            again, found = parse_expression(node.span.text)
            assert not found
            assert shape(again) == shape(node)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_every_node_spans_its_own_text(spec: Source) -> None:
    check_spans(parse(spec)[0])


@settings(deadline=None, max_examples=40)
@given(files)
def test_every_node_of_any_file_spans_its_own_text(made: ast.File) -> None:
    check_spans(parse(Source("made", file_text(made)))[0])


def test_the_canonical_text_of_an_engine() -> None:
    assert expression_text(expression("llama_cpp{threads=4,batch = 2}")) == "llama_cpp { threads = 4, batch = 2 }"
    assert expression_text(expression("generate( prompt=512,output=128 )")) == "generate(prompt = 512, output = 128)"
    assert expression_text(expression("1 .. n * 2 : 2x")) == "1..n*2:2x"
    assert quoted('a"${b}\u200b') == '"a\\"\\${b}\\u{200b}"'


def test_a_spec_survives_being_written_anew() -> None:
    file, _ = parse(spec("rich"))
    again, found = parse(Source("again", file_text(file)))
    assert not found
    assert shape((again.edition, again.items)) == shape((file.edition, file.items))
