"""Names: scopes, no shadowing, words by type, comprehensions, lists and indexing, inheritance, refinement."""

from __future__ import annotations

import pytest

from tests.support.specs import MODEL, axis, bench, check, compiles, declares, matrix, rejects, value, values


def test_lets_may_stand_in_any_order() -> None:
    assert value("c", before="let c = b * 2\nlet b = a + 1\nlet a = 1") == "4"


def test_a_bench_has_lets_of_its_own() -> None:
    compiles(bench("let n = 3\nlet twice = n * 2\nrun { repeat = twice }"))
    rejects(bench("let n = later\nlet later = 3\nrun { repeat = n }"), "E0301", at="later")


def test_an_unknown_name_offers_the_nearest() -> None:
    found = rejects(bench("engine = llama_cp", without="engine"), "E0301", at="llama_cp")
    assert found.helps == ("did you mean `llama_cpp`?",) and found.fixes[0].safe
    assert not rejects(bench("engine = zebra", without="engine"), "E0301", at="zebra").fixes
    assert "llama_cpp" in rejects(bench("engine = llama_pcp", without="engine"), "E0301").helps[0]


def test_a_name_of_the_library_says_what_to_import() -> None:
    found = rejects(bench("model = tiny", without="model"), "E0301", at="tiny")
    assert 'use "std/models" { tiny }' in found.helps[0]


def test_a_text_without_quotes() -> None:
    found = rejects("device d { target = jetson, host = orin }", "E0301", at="orin")
    assert found.fixes[-1].edits[0].text == '"orin"'


def test_what_follows_from_an_unknown_name_is_silent() -> None:
    rejects("let a = nothing\nlet b = a + 1\nlet c = [x * b for x in 1..4]", "E0301", at="nothing")


def test_names_in_branches_that_are_not_taken_are_looked_up() -> None:
    rejects("let x = if true then 1 else nothing", "E0301", at="nothing")
    rejects("let x = true or nothing", "E0301", at="nothing")
    rejects("let x = [nothing + i for i in []]", "E0301", at="nothing")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("let n = 1\nlet xs = [n for n in [1]]", "n"),
        ("let len = 1", "len"),
        ("let llama_cpp = 1", "llama_cpp"),
        ("let local = 1", "local"),
        ('model min { source = path("m.gguf") }', "min"),
        ("let xs = [[x for x in [1]] for x in [2]]", "x"),
        (bench("let m = 1"), "m"),
    ],
)
def test_nothing_is_hidden(text: str, at: str) -> None:
    rejects(text, "E0303", at=at)


def test_two_declarations_of_one_name() -> None:
    found = rejects("let a = 1\nlet a = 2", "E0302", at="a")
    assert found.span.line == 3 and found.labels[0].span.line == 2
    rejects("let a = 1\ndevice a { target = local }", "E0302", at="a")
    rejects(bench("let a = 1\nlet a = 2"), "E0302", at="a")


@pytest.mark.parametrize(
    "text", ["let a = a", "let a = b\nlet b = a", "engine e extends f { }\nengine f extends e { }"]
)
def test_circles_of_names_are_reported_once(text: str) -> None:
    rejects(text, "E0304")


# ---------------------------------------------------------------- words


def test_words_are_read_by_the_type_that_is_expected() -> None:
    spec = compiles(bench("run { order = interleaved }"))
    assert spec.protocol.order.value == "interleaved"
    compiles(bench("device = d", without="device", before="device d { target = local, class = laptop }"))


def test_a_device_may_be_declared_for_the_target_of_this_machine() -> None:
    """`local` is a target and the name of the device that needs no declaration."""
    compiles(bench("device = d", without="device", before="device d { target = local, ram = 16GiB }"))


def test_a_word_of_another_attribute_is_unknown() -> None:
    found = rejects(bench("run { order = random }"), "E0305", at="random")
    assert "randomized" in found.helps[0]
    rejects(bench('run { order = "randomized" }'), "E0314", at='"randomized"')
    rejects('model x { source = path("m.gguf"), quants = [Q4_K_XL] }', "E0305", at="Q4_K_XL")


def test_comparisons_give_words_their_type() -> None:
    before = "device p { target = android, class = phone }\ndevice q { target = jetson, class = edge }"
    for clause in ("device.class == edge", "edge == device.class", "device.class in [edge, laptop]",
                   "device.class != phone",
                   "device.target == jetson", "device == q"):  # fmt: skip
        spec = compiles(matrix(f"device in [p, q]\nexclude where {clause}", without="device", before=before))
        assert spec.excludes[0].true == ((1,),)
    rejects(
        matrix("device in [p, q]\nexclude where device.class == phon", without="device", before=before),
        "E0305",
        at="phon",
    )


def test_a_name_beats_a_word_but_a_thing_does_not_where_only_words_stand() -> None:
    compiles(bench("let order = sequential\nrun { order = order }"))
    declares("meter gauge { kind = gauge }\nmeter other { kind = gauge }")


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize(
    ("expression", "meant"),
    [
        ("[x * 2 for x in 1..4]", "2 4 6 8"),
        ("[x for x in 1..8 where x > 5]", "6 7 8"),
        ("[if x > 1 then x else 10 for x in 1..3]", "10 2 3"),
        ("[a for a in [b for b in 1..3]]", "1 2 3"),
        ("[1, 2] + [3]", "1 2 3"),
        ("[[1, 2], [3]][1] + [4]", "3 4"),
        ("[s for s in [1s, 90s]]", "1s 90s"),
        ("1..4", "1 2 3 4"),
        ("4..4", "4"),
        ("0..512:128", "0 128 256 384 512"),
        ("0..10:4", "0 4 8"),
        ("1..64:2x", "1 2 4 8 16 32 64"),
        ("1..10:3x", "1 3 9"),
        ("2..9:1.5x", "2 3 4 6"),
        ("1s..3s:1s", "1s 2s 3s"),
        ("1s..8s:2x", "1s 2s 4s 8s"),
        ("30°C..40°C:5K", "30°C 35°C 40°C"),
        ("(1 + 1)..(2 * 2)", "2 3 4"),
        ("[1..3, 5..6][1]", "5 6"),
    ],
)
def test_lists_and_ranges(expression: str, meant: str) -> None:
    assert " ".join(values(expression)) == meant


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("8..1", "E0328"), ("2s..1s:1s", "E0328"), ("1..8:0", "E0329"), ("1..8:1s", "E0329"), ("1s..4s", "E0330"),
        ("1s..4s:1", "E0330"), ("30°C..40°C:5°C", "E0330"), ("0..8:2x", "E0331"), ("1..8:1x", "E0331"),
        ("1s..4", "E0327"), ("1s..4GiB:1s", "E0327"), ("1.5..4", "E0327"), ('"a".."b"', "E0327"), ("[1][1]", "E0326"),
        ("[1][0 - 1]", "E0326"), ("[1][0.5]", "E0325"), ("5[0]", "E0321"), ("[i for i in 5]", "E0321"),
        ("5 in 5", "E0321"),
        ("[i for i in 1..3 where i]", "E0320"), ("if 1 then 2 else 3", "E0320"), ("min([])", "E0353"),
        ("sum([1, 1s])", "E0354"), ("max([1s, 1GiB])", "E0354"), ("len(5)", "E0321"), ("len()", "E0346"),
        ("foo(1)", "E0341"),
        ("(5)(1)", "E0342"), ("5.0.x", "E0323"),
    ],
)  # fmt: skip
def test_faults_of_lists_and_calls(expression: str, code: str) -> None:
    rejects(f"let x = {expression}", code)


def test_unknown_is_not_false() -> None:
    """Three-valued logic: what decides decides, what does not know keeps the cell."""
    spec = compiles(
        matrix("quant in [F16, Q8_0]\nexclude where model.size(quant) > 1GiB or quant == F16"), warns=("W0509",)
    )
    clause = spec.excludes[0]
    assert (clause.true, clause.unknown) == (((0, 0),), ((0, 1),)) or (clause.true, clause.unknown) == (
        ((0,),),
        ((1,),),
    )
    compiles(matrix("quant in [F16, Q8_0]\nexclude where model.size(quant) > 1GiB and quant == Q4_0"), warns=("W0508",))


# ---------------------------------------------------------------- extends and refinement


def test_extends_replaces_attributes_whole() -> None:
    before = "model n extends m { quants = [Q4_0] }\nmodel o extends n { context = 100 }"
    spec = compiles(bench("model = o\nmatrix { quant in model.quants }", without="model", before=before))
    assert axis(spec, "quant").labels == ("Q4_0",)
    (model,) = axis(spec, "model").values
    assert (model.name, model.get("context")) == ("o", 100)


def test_extends_takes_a_declaration_of_its_kind() -> None:
    compiles(bench("device = here", without="device", before="device here extends local { ram = 16GiB }"))
    rejects("device d extends llama_cpp { }", "E0407", at="llama_cpp")
    rejects("engine e { threads = 2 }", "E0408", at="e")
    rejects("engine e extends nothing { threads = 2 }", "E0301", at="nothing")


def test_refinements_are_called_by_their_canonical_text() -> None:
    first = "llama_cpp { batch = 64, threads = 2 }"
    engines = f"[{first}, llama_cpp {{ threads = 2 * 2 }}, llama_cpp {{ threads = 1 }} {{ threads = 8 }}]"
    spec = compiles(matrix(f"engine in {engines}", without="engine"))
    assert axis(spec, "engine").labels == (
        "llama_cpp { threads = 2, batch = 64 }", "llama_cpp { threads = 4 }", "llama_cpp { threads = 8 }",
    )  # fmt: skip
    assert {e.base for e in axis(spec, "engine").values} == {"llama_cpp"}


def test_a_refinement_is_the_same_engine_and_a_declaration_is_not() -> None:
    before = "engine cpu4 extends llama_cpp { threads = 4 }"
    spec = compiles(
        matrix(
            "engine in [llama_cpp { threads = 2 }, cpu4]\nexclude where engine == llama_cpp",
            without="engine",
            before=before,
        )
    )
    assert spec.excludes[0].true == ((0,),)


def test_an_anonymous_workload_is_called_by_its_canonical_text() -> None:
    spec = compiles(bench("workload = generate(output = 2 * 8, prompt = 64)", without="workload"))
    assert axis(spec, "workload").labels == ("generate(prompt = 64, output = 16)",)


def test_attributes_are_checked_wherever_they_are_set() -> None:
    rejects("engine e extends llama_cpp { thread = 4 }", "E0401", at="thread")
    rejects(bench("engine = llama_cpp { thread = 4 }", without="engine"), "E0401", at="thread")
    rejects(bench("engine = llama_cpp { threads = 0 }", without="engine"), "E0315", at="0")
    rejects(bench("workload = generate(prompt = 1, output = 1, promt = 2)", without="workload"), "E0401", at="promt")
    rejects(bench("engine = llama_cpp { threads = 1, threads = 2 }", without="engine"), "E0402", at="threads")
    rejects('device d { target = jetson, serial = "x" }', "E0401", at="serial")
    rejects("device d { target = androit }", "E0305", at="androit")
    rejects("device d { ram = 8GiB }", "E0403")
    rejects(bench("device = local { target = android }", without="device"), "E0409", at="target")


def test_every_independent_fault_is_told_and_no_more() -> None:
    found = check(
        MODEL + "\ndevice d { target = android, rm = 8GiB }\nworkload w { output = 8 }\n"
        "bench b {\nmodel = m\nengine = llama\ndevice = d\nworkload = w\nrun { timeout = 5 }\nmeasure ttfft\n}"
    ).diagnostics
    assert [d.code for d in found] == ["E0401", "E0415", "E0301", "E0312", "E0701"]


def test_reserved_things_say_so() -> None:
    rejects('let token = secret("TOKEN")', "E0410", at='secret("TOKEN")')
    rejects("task t { }", "E0410", at="task t")
    rejects(bench("accuracy { limit = 10 }"), "E0410", at="accuracy")
    rejects(bench("run { adaptive = true }"), "E0410", at="adaptive")


def test_prompts_and_random_tokens_do_not_mix() -> None:
    rejects('workload w { prompt = 1, prompts = ["a"], output = 1 }', "E0415")
    rejects("workload w { output = 1 }", "E0415")
    rejects("workload w { prompt = 1, output = 1, think = 1s }", "E0416", at="think = 1s")
    for key in ("duration = 5s", "depth = 8", "temperature = 0.7"):
        declares(f"workload w {{ prompt = 1, output = 1, {key} }}")


def test_conversations_come_from_files() -> None:
    lines = '{"id": "a", "turns": ["x", "y"]}\n\n{"id": "b", "turns": ["z"]}\n'
    text = bench('workload = generate(prompts = jsonl("c.jsonl"), output = 1)', without="workload")
    (workload,) = axis(compiles(text, {"c.jsonl": lines}), "workload").values
    assert [c.get("id") for c in workload.get("prompts")] == ["a", "b"]
    rejects(text, "E0351", at='jsonl("c.jsonl")')
    rejects(text, "E0352", files={"c.jsonl": "{\n"})
    rejects(text, "E0352", files={"c.jsonl": "[1]\n"})
    rejects(text, "E0314", files={"c.jsonl": '{"turns": ["x"]}\n'})


def test_an_axis_has_no_value_outside_of_cells() -> None:
    for text in (
        bench("threads = 3\nlet n = threads"),
        bench("threads = 3\nrun { repeat = threads }"),
        bench("threads = 3\nthermal { cooldown = threads * 1s }"),
        bench("threads = 3\nexpect median(ttft) < threads * 1s"),
        matrix("threads in [1, 2]\nsample threads"),
        matrix("threads in [1, 2]\nbatch in [64]\ninclude { threads = 8, batch = threads }"),
    ):
        rejects(text, "E0308", at="threads")


def test_a_workload_is_checked_wherever_its_attributes_are_set() -> None:
    rejects(
        bench("workload = generate(prompt = 1, output = 1, think = 1s)", without="workload"), "E0416", at="think = 1s"
    )
    rejects(bench('workload = generate(prompt = 1, prompts = ["a"], output = 1)', without="workload"), "E0415")
    chat = 'workload chat { prompts = ["a"], output = 1 }'
    rejects(bench("workload = chat { prompt = 5 }", without="workload", before=chat), "E0415")
    rejects(bench("workload = chat\nprompt = 5", without="workload", before=chat), "E0415", at="prompt")
    compiles(bench("workload = chat { think = 1s }", without="workload", before=chat))


def test_a_bench_has_no_parent() -> None:
    rejects(bench().replace("bench b", "bench b extends m"), "E0407", at="m")
