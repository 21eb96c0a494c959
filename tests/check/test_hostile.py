"""Hostile and huge inputs: a diagnostic in bounded time, never a traceback."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mobench_lang.check.evaluate import MAX_NAMES, MAX_STEPS, MAX_VALUES, Budget
from tests.support.specs import MODEL, bench, check, compiles, declares, matrix, rejects, shown, value

SPECS = sorted((Path(__file__).resolve().parents[2] / "specs").glob("**/*.bench"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails if the block takes longer; generous, for busy machines."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@pytest.fixture
def small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the steps and fewer combinations, so that using them up takes a moment only."""
    monkeypatch.setattr(Budget.__init__, "__defaults__", (MAX_VALUES, MAX_STEPS // 10, 50_000, MAX_NAMES, False))


def test_the_whole_budget_is_used_up_in_bounded_time() -> None:
    with within(30):
        rejects("let x = [i for i in 1..9_000_000 where i > 0]", "E0334")


@pytest.mark.usefixtures("small_budget")
@pytest.mark.parametrize(
    "expression",
    [
        "1..1000000000",
        "1..9_223_372_036_854_775_807",
        "1ns..24h:1ns",
        "[i for i in 1..1_000_000_000]",
        "[[j for j in 1..3000] for i in 1..3000]",
        "[[[[k for k in 1..99] for j in 1..99] for i in 1..99] for h in 1..99]",
        "sum([sum([j for j in 1..2000]) for i in 1..2000])",
        "[1..9_999_999, 1..9_999_999]",
    ],
)
def test_what_would_take_too_long_is_refused(expression: str) -> None:
    with within(20):
        rejects(f"let x = {expression}", "E0334")


def test_doubling_lists_are_refused() -> None:
    lines = ["let a0 = 1..1000"] + [f"let a{i} = a{i - 1} + a{i - 1}" for i in range(1, 40)]
    with within(20):
        rejects("\n".join(lines), "E0334")


def test_doubling_strings_are_refused() -> None:
    lines = ['let a0 = "x"'] + [f'let a{i} = "${{a{i - 1}}}${{a{i - 1}}}"' for i in range(1, 40)]
    with within(20):
        rejects("\n".join(lines), "E0333")


def test_growing_numbers_are_refused() -> None:
    lines = ["let a0 = 10.5"] + [f"let a{i} = a{i - 1} * a{i - 1}" for i in range(1, 40)]
    rejects("\n".join(lines), "E0333")
    small = ["let a0 = 0.5"] + [f"let a{i} = a{i - 1} * a{i - 1}" for i in range(1, 40)]
    assert {d.code for d in check("\n".join(small)).diagnostics} <= {"E0333"}


def test_a_chain_of_ten_thousand_lets() -> None:
    lines = [f"let a{i} = a{i + 1} + 1" for i in range(10_000)] + ["let a10000 = 0"]
    with within(30):
        declares("\n".join(lines))
    with within(30):
        rejects("\n".join([*lines[:-1], "let a10000 = a0"]), "E0304")


def test_a_chain_of_declarations() -> None:
    lines = [f"model m{i} extends m{i + 1} {{ context = {i + 1} }}" for i in range(2000)]
    with within(30):
        declares("\n".join([*lines, 'model m2000 { source = path("m.gguf") }']))


@pytest.mark.parametrize(("left", "right"), [("(", ")"), ("[", "]"), ("-", ""), ("not ", ""), ("f(", ")"), ("{", "}")])
def test_deep_nesting(left: str, right: str) -> None:
    for depth in (90, 200, 5000):
        with within(30):
            found = check(f"let x = {left * depth}1{right * depth}").diagnostics
        assert len(found) <= 3, shown(found[:5])


def test_long_sums_and_deep_conditions() -> None:
    assert value(" + ".join(["1"] * 90)) == "90"
    for text in (" + ".join(["1"] * 5000), "if true then 1 else " * 3000 + "1", "x" + ".y" * 3000, "a" + "[0]" * 3000):
        found = check(f"let x = {text}").diagnostics
        assert len(found) <= 2, shown(found[:5])


def test_a_matrix_that_is_too_large() -> None:
    with within(20):
        rejects(matrix("threads in 1..500\nbatch in 1..500\nubatch in 1..500"), "E0511")
        rejects(
            matrix(
                "\n".join(f"a{i} in 1..100" for i in range(60))
                + "\n"
                + "exclude where "
                + " + ".join(f"a{i}" for i in range(60))
                + " > 1"
            ),
            "E0511",
        )


@pytest.mark.parametrize(
    "body",
    [
        "a0 in [1]\n" + "\n".join(f"a{i + 1} in [a{i}]" for i in range(20_000)),
        "\n".join(f"a{i} in [1]" for i in range(30_000)),
        "\n".join(f"zip {{ a{i} in [1]\nb{i} in [2] }}" for i in range(10_000)),
    ],
    ids=["a chain", "many", "zipped"],
)
def test_more_axes_than_anyone_reads(body: str) -> None:
    with within(60):
        found = rejects(matrix(body), "E0334")
    assert found.message == "this bench has more than 64 axes, the four roles included"


def test_as_many_axes_as_are_allowed() -> None:
    axes = "\n".join(f"a{i} in [1]" for i in range(60))
    compiles(matrix(axes + "\nexclude where " + " + ".join(f"a{i}" for i in range(60)) + " < 60"), warns=("W0508",))


@pytest.mark.parametrize("clause", ["threads > {}", "threads + batch > {}", "threads == {} and batch == 1"])
def test_thousands_of_clauses(clause: str) -> None:
    body = "threads in 1..100\nbatch in 1..100\n"
    with within(60):
        rejects(matrix(body + "\n".join("exclude where " + clause.format(i) for i in range(10_000))), "E0334")


def test_thousands_of_includes() -> None:
    body = "threads in 1..100\nbatch in 1..100\n"
    with within(60):
        rejects(matrix(body + "\n".join(f"include {{ batch = {i} }}" for i in range(101, 10_000))), "E0334")
    with within(60):
        rejects(matrix(body + "ubatch in 1..150\n" + "include { batch = 101 }\n" * 40), "E0511")


def test_axes_whose_lists_depend_make_many_cells() -> None:
    body = "\n".join(f"{axis} in [x for x in 1..200 where x < 500 + a]" for axis in ("threads", "batch"))
    with within(60):
        rejects(matrix(f"a in 1..100\n{body}"), "E0511")


def test_a_design_of_too_many_pairs() -> None:
    with within(60):
        found = rejects(matrix("threads in 1..125\nbatch in 1..125\nubatch in 1..125\npairwise"), "E0334")
    assert (
        found.message == "a pairwise design of 1,953,125 cells over 3 axes looks at more than 5,000,000 pairs of values"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("/*\n" * 170_000, "E0155"),
        (('let a = "' + '\\"' * 45_000 + "\n") * 5, "E0129"),
        (('let a = "' + "x" * 90_000 + '"\n') * 5, "E0302"),
        (("let a = " + '"${' * 30_000 + "\n") * 5, "E0147"),
        ("\n" * 500_000 + "nonsense", "E0151"),
        ("\r" * 400_000, "E0103"),
    ],
    ids=["comments", "quotes", "long lines", "interpolations", "nothing", "returns"],
)
def test_texts_that_ask_to_be_read_again_and_again(text: str, code: str) -> None:
    with within(60):
        found = check(text).diagnostics
    assert code in {d.code for d in found}


@pytest.mark.usefixtures("small_budget")
def test_a_clause_that_reads_everything() -> None:
    body = "threads in 1..100\nbatch in 1..100\nubatch in 1..100\nexclude where threads + batch + ubatch > 5"
    with within(60):
        found = check(matrix(body)).diagnostics
    assert {d.code for d in found} <= {"E0334"}, shown(found)


def test_a_clause_over_all_cells_of_a_large_matrix() -> None:
    body = "threads in 1..100\nbatch in 1..99\nubatch in 1..100\n"
    with within(120):
        spec = compiles(matrix(body + "exclude where threads > 5 and batch < 7 and ubatch == 5"))
    assert len(spec.excludes[0].true) == 95 * 6


@pytest.mark.usefixtures("small_budget")
def test_an_axis_that_depends_on_everything() -> None:
    body = "a in 1..200\nb in 1..200\nc in 1..200\nthreads in [a + b + c]"
    with within(60):
        found = check(matrix(body)).diagnostics
    assert {d.code for d in found} <= {"E0334", "E0315", "E0511"}, shown(found)


def test_many_of_everything() -> None:
    with within(60):
        found = check(bench("\n".join(f"measure nothing{i}" for i in range(500)))).diagnostics
        assert len(found) == 500
        many = "\n".join(f"device d{i} {{ target = android, ram = 8GiB }}" for i in range(2000))
        compiles(matrix(f"device in [{', '.join(f'd{i}' for i in range(2000))}]", without="device", before=many))


def test_after_a_thousand_faults_the_rest_is_not_looked_at() -> None:
    with within(60):
        found = check(bench("\n".join(f"measure nothing{i}" for i in range(1500)))).diagnostics
    assert [d.code for d in found].count("E0701") == 1000
    assert [d.code for d in found if d.code != "E0701"] == ["E0107"]


def test_a_long_axis() -> None:
    with within(30):
        compiles(matrix("ubatch in 1..100_000\nsample 5 seed 1"))


def test_jsonl_of_odd_content() -> None:
    text = bench('workload = generate(prompts = jsonl("c.jsonl"), output = 1)', without="workload")
    for content in ("[" * 100_000, '{"a": ' * 50_000, '{"id": "a", "turns": [1]}', '{"id": "a", "turns": []}',
                    "\0", "{}", '{"id": "a", "turns": ["x"], "n": 1' + "0" * 5000 + "}",
                    '{"id": "a", "turns": ["x"], "n": 1e400}', '{"id": "a", "turns": ["x"], "n": NaN}'):  # fmt: skip
        with within(20):
            found = check(text, {"c.jsonl": content}).diagnostics
        assert {d.code for d in found} <= {"E0352", "E0314"} and found


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_damaged_specs_never_raise(path: Path) -> None:
    """Tokens removed, doubled, swapped and replaced at random places."""
    text = path.read_text("utf-8")
    words = text.replace("(", " ( ").replace("{", " { ").split(" ")
    rng = random.Random(path.stem)
    strange = [
        "",
        "}",
        "{",
        "nothing",
        "5",
        "15ms",
        "[]",
        "llama_cpp",
        "tiny",
        "==",
        "in",
        '"x"',
        "Q8_0",
        "extends",
        "1..0",
        "?",
        "-",
    ]
    for _ in range(40):
        made = list(words)
        for _ in range(rng.randint(1, 3)):
            made[rng.randrange(len(made))] = rng.choice([*strange, rng.choice(words)])
        check(" ".join(made))


def test_every_single_word_as_a_value() -> None:
    """Whatever stands where, there is a diagnostic or a bench."""
    odd = [
        "m",
        "llama_cpp",
        "local",
        "[m]",
        "null",
        "true",
        "1",
        "1.5",
        "1s",
        '"x"',
        "Q8_0",
        "len",
        "hf",
        "[]",
        "1..2",
        'path("x")',
        "m { context = 1 }",
        "{ }",
    ]
    keys = ["model", "quant", "engine", "device", "workload", "threads", "zebra"]
    for key in keys:
        for one in odd:
            found = check(bench(f"{key} = {one}", without=key))
            assert found.diagnostics or found.bench is not None
            found = check(
                matrix(f"{key} in {one}\nexclude where {key} == {one}\ninclude {{ {key} = {one} }}", without=key)
            )
            assert found.diagnostics or found.bench is not None
    for one in odd:
        for text in (f"exclude where {one}", f"sample {one}", f"include {{ threads = {one} }}"):
            check(matrix(text))
        for text in (f"expect {one} > 1", f"expect median(ttft) > {one}", f"expect median(ttft) > 1s where {one}",
                     f"run {{ repeat = {one} }}", f"run {{ seed = {one}, order = {one}, timeout = {one} }}",
                     f"thermal {{ start_below = {one} }}", f"expect median(ttft) > baseline(ttft, model = {one})",
                     f"expect median({one}) > 1s", f"expect baseline({one}, model = m) > 1s"):  # fmt: skip
            check(bench(text))
        for text in (f"device d {{ target = {one}, meter = {one}, affinity = {one}, ram = {one} }}",
                     f"workload w {{ prompts = {one}, output = {one}, temperature = {one} }}",
                     f"model n extends {one.split(' ')[0]} {{ }}",
                     f"model n {{ source = {one}, quants = {one}, params = {one}, requantize = {one} }}",
                     f"engine e extends llama_cpp {{ threads = {one}, backend = {one}, mmap = {one} }}",
                     f"let x = ({one})(1)", f"let x = ({one})[0]", f"let x = ({one}).size(Q8_0)", f"let x = -({one})",
                     f"let x = [y for y in {one}]", f"let x = sum({one})",
                     f"let x = max({one}, {one})", f"let x = round({one})",
                     f"let x = ({one}) + ({one})", f"let x = ({one}) < ({one})", f"let x = ({one}) in ({one})",
                     f"let x = m {{ context = {one} }}"):  # fmt: skip
            check(f"{MODEL}\n{text}")


def test_a_clause_over_many_combinations_is_no_hostile_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget.__init__, "__defaults__", (MAX_VALUES, 11_000, 1_000, MAX_NAMES, False))
    axes = "prompt in 1..20\noutput in 1..20\nworkload in [generate(prompt = prompt, output = output)]"
    compiles(matrix(axes + "\nexclude where prompt + output > 30 and prompt * 2 > output + 3", without="workload"))
