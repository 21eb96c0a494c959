"""The matrix: axes, what free ones bind, dependence, zip, include, designed fractions, exclusion."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.ir import Bench
from mobench_lang.matrix import Count, expand, size
from tests.support.specs import axis, bench, cells, check, compiles, matrix, rejects


def triples(spec: Bench, *names: str) -> list[tuple[str, ...]]:
    return [tuple(cell[n] for n in names) for cell in cells(spec)]


# ---------------------------------------------------------------- what axes are


def test_an_assignment_is_an_axis_of_one() -> None:
    spec = compiles(bench("quant = Q8_0"))
    assert [a.name for a in spec.axes] == ["model", "engine", "device", "workload", "quant"]
    assert cells(spec)[0]["quant"] == "Q8_0"


def test_cells_come_in_the_order_of_the_lines() -> None:
    spec = compiles(matrix("threads in [1, 2]\nbatch in [64, 128]"))
    assert triples(spec, "threads", "batch") == [("1", "64"), ("1", "128"), ("2", "64"), ("2", "128")]


def test_a_free_axis_sets_the_parameter_of_its_name() -> None:
    spec = compiles(matrix("threads in [1, 2]\ndepth in [0, 64]"))
    assert (axis(spec, "threads").binds, axis(spec, "depth").binds) == ("engine.threads", "workload.depth")


def test_an_axis_that_another_reads_binds_nothing() -> None:
    spec = compiles(matrix("threads in [1, 2]\nengine in [llama_cpp { threads = threads }]", without="engine"))
    assert axis(spec, "threads").binds == ""
    assert triples(spec, "threads", "engine") == [
        ("1", "llama_cpp { threads = 1 }"),
        ("2", "llama_cpp { threads = 2 }"),
    ]


def test_an_axis_that_only_a_clause_reads_is_a_variable() -> None:
    spec = compiles(matrix("group in [1, 2]\nthreads in [1, 2]\nexclude where group == 2 and threads == 1"))
    assert axis(spec, "group").binds == "" and len(cells(spec)) == 3


@pytest.mark.parametrize(
    ("body", "code", "at"),
    [
        ("thread in [1, 2]", "E0505", "thread"),
        ("threads in [1, 2]\nthreads in [3]", "E0501", "threads"),
        ("threads in [1, 1]", "E0503", "1"),
        ("threads in []", "E0502", "[]"),
        ("depth in [64, 64tok]", "E0503", "64tok"),
        ("think in [0s, 1s]", "E0416", "think"),
        ("threads in 4", "E0516", "4"),
        ("threads in [0]", "E0315", "0"),
        ("quant = F16", "E0517", "quant = F16"),
        ("m in [1]", "E0522", "m"),
        ("len in [1]", "E0522", "len"),
        ("decode_rate in [1]", "E0504", "decode_rate"),
        ("simulated in [1]", "E0504", "simulated"),
        ("Rep in [1]", "E0504", "Rep"),
        ("quant in [F16, Q9]", "E0305", "Q9"),
        ("quant in [F16, 8]", "E0314", "8"),
        ("quant in [q for q in [F16]]", "E0301", None),
        ("engine in [llama_cpp]", "E0501", "engine"),
        ("let x = 1", "E0404", "let x = 1"),
        ("include { thread = 1 }", "E0513", "thread"),
        ("zip { threads in [1, 2], batch in [64] }", "E0512", None),
        ("sample 0", "E0315", "0"),
        ("exclude where 5", "E0320", "5"),
        ("exclude where nothing", "E0301", "nothing"),
    ],
)
def test_faults_of_a_matrix(body: str, code: str, at: str | None) -> None:
    found = [d for d in check(matrix(body)).diagnostics if d.is_error]
    if code == "E0301" and at is None:
        assert not found or {d.code for d in found} <= {"E0301", "E0505"}
        return
    assert [d.code for d in found] == [code], found
    assert at is None or found[0].span.text == at


def test_an_axis_outside_of_the_matrix_is_told_where_to_go() -> None:
    assert "matrix { quant in [F16] }" in rejects(bench("quant in [F16]"), "E0518").helps[0]


def test_what_an_axis_may_not_set_twice() -> None:
    found = rejects(
        matrix("threads in [1, 2]\nengine in [llama_cpp, llama_cpp { threads = 4 }]", without="engine"), "E0507"
    )
    assert found.labels


def test_two_things_with_one_name() -> None:
    files = dict.fromkeys(("a.bench", "b.bench"), "mobench 1\ndevice p { target = android }\n")
    before = 'use "a.bench" as a\nuse "b.bench" as b'
    rejects(matrix("device in [a.p, b.p]", without="device", before=before), "E0515", files=files)
    rejects(matrix("device in [a.p, a.p]", without="device", before=before), "E0503", files=files)


# ---------------------------------------------------------------- dependence


def test_an_axis_may_read_earlier_ones() -> None:
    body = (
        "prompt in [64, 128]\noutput in [prompt / 2, prompt]\nworkload in [generate(prompt = prompt, output = output)]"
    )
    spec = compiles(matrix(body, without="workload"))
    assert triples(spec, "prompt", "output") == [("64", "32"), ("64", "64"), ("128", "64"), ("128", "128")]


def test_an_axis_may_not_read_later_ones() -> None:
    found = rejects(matrix("engine in [llama_cpp { threads = n }]\nn in [1]", without="engine"), "E0307", at="n")
    assert found.labels


def test_dependent_quants() -> None:
    before = 'model n { source = path("m.gguf"), quants = [Q4_0] }'
    spec = compiles(matrix("model in [m, n]\nquant in model.quants", without="model", before=before))
    assert triples(spec, "model", "quant") == [("m", "F16"), ("m", "Q8_0"), ("n", "Q4_0")]


def test_a_dependent_list_that_is_empty_for_one_combination() -> None:
    rejects(matrix("n in [1, 2]\nthreads in [t for t in [1, 2] where t > n]"), "E0502")


# ---------------------------------------------------------------- zip, include, fractions


def test_zip_walks_in_step() -> None:
    spec = compiles(matrix("zip { threads in [1, 2], batch in [64, 128] }\nubatch in [16, 32]"))
    assert triples(spec, "threads", "batch", "ubatch") == [
        ("1", "64", "16"), ("1", "64", "32"), ("2", "128", "16"), ("2", "128", "32"),
    ]  # fmt: skip


def test_include_adds_cells_and_unnamed_axes_take_every_value() -> None:
    spec = compiles(matrix("quant in [F16, Q8_0]\nthreads in [1, 2]\ninclude { threads = 8 }"))
    assert triples(spec, "quant", "threads")[4:] == [("F16", "8"), ("Q8_0", "8")]
    spec = compiles(matrix("quant in [F16]\nthreads in [1]\ninclude { quant = Q4_0, threads = 8 }"))
    assert triples(spec, "quant", "threads") == [("F16", "1"), ("Q4_0", "8")]


def test_an_included_cell_that_is_there_is_measured_once() -> None:
    spec = compiles(matrix("threads in [1, 2]\ninclude { threads = 2 }"), warns=("W0514",))
    assert len(cells(spec)) == 2


def test_excludes_apply_to_included_cells() -> None:
    spec = compiles(matrix("threads in [1, 2]\ninclude { threads = 8 }\nexclude where threads == 8"))
    assert triples(spec, "threads") == [("1",), ("2",)]


def test_a_sample_is_a_seeded_subset_in_order() -> None:
    every = triples(compiles(matrix("threads in 1..20")), "threads")
    one = triples(compiles(matrix("threads in 1..20\nsample 5 seed 7")), "threads")
    assert len(one) == 5 and [c for c in every if c in one] == one
    assert one == triples(compiles(matrix("threads in 1..20\nsample 5 seed 7")), "threads")
    assert one != triples(compiles(matrix("threads in 1..20\nsample 5 seed 8")), "threads")
    compiles(matrix("threads in 1..4\nsample 5 seed 7"), warns=("W0520",))
    rejects(matrix("threads in 1..20\nsample 5\nsample 6"), "E0521")


def test_pairwise_covers_every_pair() -> None:
    body = "threads in 1..4\nbatch in [64, 128, 256]\nubatch in [8, 16, 32]\ngpu_layers in [0, 1]"
    full, some = compiles(matrix(body)), compiles(matrix(body + "\npairwise seed 3"))
    names = ("threads", "batch", "ubatch", "gpu_layers")

    def pairs(spec: Bench) -> set[tuple[str, str, str, str]]:
        return {(a, c[a], b, c[b]) for c in cells(spec) for a in names for b in names if a < b}

    assert pairs(full) == pairs(some) and len(cells(some)) <= 20 < len(cells(full))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.integers(0, 12), st.integers(0, 9))
def test_pairwise_of_what_clauses_leave(lengths: list[int], above: int, seed: int) -> None:
    names = [f"a{i}" for i in range(len(lengths))]
    lines = [f"{n} in 1..{length}" for n, length in zip(names, lengths, strict=True)]
    total = " + ".join(names)
    lines += [f"workload in [generate(prompt = {total}, output = 1)]", f"exclude where {total} > {above}"]
    full = check(matrix("\n".join(lines), without="workload")).bench
    some = check(matrix("\n".join([*lines, f"pairwise seed {seed}"]), without="workload")).bench
    if full is None or some is None:
        assert full is some and above < len(lengths)
        return
    every, chosen = cells(full), cells(some)

    def pairs(found: list[dict[str, str]]) -> set[tuple[str, str, str, str]]:
        return {(a, c[a], b, c[b]) for c in found for a in c for b in c if a < b}

    assert pairs(every) == pairs(chosen)
    assert [c for c in every if c in chosen] == chosen


# ---------------------------------------------------------------- exclude


def test_an_excluded_cell_is_counted_by_the_first_clause_that_takes_it() -> None:
    spec = compiles(matrix('threads in 1..4\nexclude where threads > 2  because "hot"\nexclude where threads > 1'))
    count = Count()
    assert len(cells(spec, count)) == 1
    assert (count.total, count.excluded) == (4, [2, 1])
    assert [(c.text, c.because) for c in spec.excludes] == [("threads > 2", "hot"), ("threads > 1", "")]


def test_a_reason_may_name_values() -> None:
    spec = compiles(
        matrix('threads in [1, 2]\nexclude where threads > n  because "more than ${n}"', before="let n = 1")
    )
    assert spec.excludes[0].because == "more than 1"


def test_a_list_that_only_the_run_would_know() -> None:
    before = 'model n { source = path("m.gguf") }'
    found = rejects(matrix("model in [m, n]\nquant in model.quants", without="model", before=before), "E0516")
    assert "does not set `quants`" in found.message and "declare it" in found.helps[0]


def test_a_clause_without_effect_is_a_warning() -> None:
    compiles(matrix("threads in 1..4\nexclude where threads > 8"), warns=("W0508",))
    rejects(matrix("threads in 1..4\nexclude where threads > 0"), "E0510")
    rejects(matrix("threads in 1..4\nexclude where threads > 2\nexclude where threads < 3"), "E0510")


def test_a_clause_of_unknown_truth_keeps_its_cells() -> None:
    spec = compiles(matrix("quant in [F16, Q8_0]\nexclude where model.size(quant) > 1GiB"), warns=("W0509",))
    assert len(cells(spec)) == 2


def test_a_clause_reads_what_axes_bind() -> None:
    spec = compiles(matrix("threads in [1, 2]\nexclude where engine.threads == 2"))
    assert triples(spec, "threads") == [("1",)]


def test_a_clause_after_a_fault_says_nothing_of_its_own() -> None:
    rejects(matrix("threads in [1, nothing]\nexclude where threads == 2"), "E0301", at="nothing")


# ---------------------------------------------------------------- properties


@st.composite
def matrices(draw: st.DrawFn) -> tuple[list[list[int]], int | None, int, int]:
    axes = draw(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True), min_size=1, max_size=3))
    return axes, draw(st.none() | st.integers(0, 12)), draw(st.integers(0, 6)), draw(st.integers(0, 6))


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_cells_are_those_of_brute_force(drawn: tuple[list[list[int]], int | None, int, int]) -> None:
    lists, above, low, extra = drawn
    names = [f"a{i}" for i in range(len(lists))]
    total = " + ".join(names)
    lines = [f"{n} in {values}" for n, values in zip(names, lists, strict=True)]
    lines.append(f"workload in [generate(prompt = {total}, output = 1)]")
    want = list(product(*lists))
    lines.append(f"include {{ a0 = {extra} }}")
    want += [v for v in product([extra], *lists[1:]) if v not in want]
    if above is not None:
        lines.append(f"exclude where {total} > {above} and a0 >= {low}")
        want = [v for v in want if not (sum(v) > above and v[0] >= low)]
    found = check(matrix("\n".join(lines), without="workload"))
    if not want:
        assert [d.code for d in found.diagnostics if d.is_error] == ["E0510"]
        return
    assert found.bench is not None, found.diagnostics
    shown = [tuple(int(c[n]) for n in names) for c in cells(found.bench)]
    assert sorted(shown) == sorted(want) and len(set(shown)) == len(shown)
    assert size(found.bench.walks[0]) == len(list(product(*lists)))
    count = Count()
    list(expand(found.bench, count))
    assert count.cells + sum(count.excluded) == count.total
