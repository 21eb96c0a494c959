"""run, thermal, conditions, measure, expect and warn."""

from __future__ import annotations

import pytest

from tests.support.specs import axis, bench, check, compiles, matrix, rejects, shown

PHONE = 'device d { target = android, serial = "39211FDJH00ABC" }'
WIFI = 'device d { target = android, serial = "10.0.0.2:5555" }'
STORY = 'workload story { prompts = ["a", "b"], output = 8, between = 60s }'


def phone(body: str, before: str = PHONE) -> str:
    return bench(f"device = d\n{body}", without="device", before=before)


def test_defaults() -> None:
    p = compiles(bench()).protocol
    assert (p.warmup, p.repeat, p.retries, p.order.value, p.isolation, p.seed) == (1, 5, 1, "randomized", "trial", None)
    assert (p.timeout_ns, p.cooldown_ns, p.gate_timeout_ns, p.start_below) == (600 * 10**9, 0, 300 * 10**9, None)
    assert [m.name for m in compiles(bench()).metrics] == [
        "load_time",
        "ttft",
        "prefill_rate",
        "decode_rate",
        "peak_memory",
    ]


def test_the_default_time_out_has_room_for_declared_pauses() -> None:
    spec = compiles(bench("workload = story", without="workload", before=STORY))
    assert spec.protocol.timeout_ns == (600 + 60) * 10**9  # a warm-up pass does not pause


def test_a_time_out_below_the_pauses() -> None:
    found = rejects(
        bench("workload = story\nrun { timeout = 59s }", without="workload", before=STORY), "E0801", at="59s"
    )
    assert "1min" in found.message
    compiles(bench("workload = story\nrun { timeout = 1min, warmup = 3 }", without="workload", before=STORY))
    longer = "matrix { duration in [30s, 2min] }"
    rejects(bench(f"workload = story\n{longer}\nrun {{ timeout = 1min }}", without="workload",
                  before=STORY.replace("duration", "think")), "E0801")  # fmt: skip
    cell = "order = sequential, isolation = cell, repeat = 3"
    rejects(bench(f"workload = story\nrun {{ timeout = 179s, {cell} }}", without="workload", before=STORY), "E0801")


def test_one_process_per_cell_is_sequential() -> None:
    rejects(bench("run { isolation = cell }"), "E0802", at="cell")
    rejects(bench("run { isolation = cell, order = randomized }"), "E0802", at="cell")
    compiles(bench("run { isolation = cell, order = sequential }"))


def test_thermal_limits() -> None:
    p = compiles(
        bench("thermal { start_below = 40°C, abort_above = 95°C, cooldown = 30s, gate_timeout = 10min }")
    ).protocol
    assert (p.start_below, p.abort_above, p.cooldown_ns, p.gate_timeout_ns) == (40_000, 95_000, 30 * 10**9, 600 * 10**9)
    rejects(bench("thermal { start_below = 95°C, abort_above = 40°C }"), "E0803", at="95°C")
    rejects(bench("thermal { start_below = 40°C, abort_above = 40°C }"), "E0803")


def test_sections_stand_once_and_hold_attributes() -> None:
    rejects(bench("run { repeat = 1 }\nrun { warmup = 1 }"), "E0402", at="run")
    rejects(bench("run { repeat = 1, repeat = 2 }"), "E0402", at="repeat")
    rejects(bench("run { repeats = 1 }"), "E0401", at="repeats")
    rejects(bench("run { let x = 1 }"), "E0404")
    rejects(bench("runs { repeat = 1 }"), "E0406", at="runs")
    rejects(bench("run { repeat? = 1 }"), "E0405", at="repeat")


def test_conditions() -> None:
    spec = compiles(phone("conditions { airplane = on, brightness? = 20%, charger? = off }"))
    assert [(c.name, c.optional) for c in spec.conditions] == [
        ("airplane", False),
        ("brightness", True),
        ("charger", True),
    ]
    rejects(phone("conditions { airplan = on }"), "E0401", at="airplan")
    rejects(phone("conditions { airplane = on, airplane? = off }"), "E0402", at="airplane")
    rejects(phone("conditions { airplane = maybe }"), "E0305", at="maybe")


def test_a_condition_that_a_target_cannot_set() -> None:
    found = rejects(bench("conditions { airplane = on }"), "E0604", at="airplane")
    assert found.helps == ("targets that can: android", "`airplane? = …` sets it where it can be set")
    compiles(bench("conditions { airplane? = on }"))


def test_airplane_mode_over_wifi() -> None:
    for mark in ("", "?"):
        found = rejects(phone(f"conditions {{ airplane{mark} = on }}", WIFI), "E0607")
        assert found.labels[0].span.text == 'serial = "10.0.0.2:5555"'
    compiles(phone("conditions { airplane = off }", WIFI))


# ---------------------------------------------------------------- measure


def test_measure() -> None:
    spec = compiles(bench("measure ttft\nmeasure? soc_temp, skin_temp"))
    assert [(m.name, m.optional) for m in spec.metrics] == [("ttft", False), ("soc_temp", True), ("skin_temp", True)]
    assert "decode_rate" in rejects(bench("measure decode_rat"), "E0701", at="decode_rat").helps[0]
    rejects(bench("measure ttft, ttft"), "E0711", at="ttft")
    rejects(bench("measure ttft\nmeasure? ttft"), "E0711")


def test_a_metric_that_a_target_cannot_deliver() -> None:
    found = rejects(bench("measure ttft, battery_drain"), "E0603", at="battery_drain")
    assert found.helps == ("targets that can: android, ios", "`measure? battery_drain` takes it where it can be had")
    compiles(phone("measure ttft, battery_drain"))


# ---------------------------------------------------------------- claims


@pytest.mark.parametrize(
    "claim",
    [
        "median(decode_rate) >= 12tok/s", "p50(ttft) < 800ms", "mean(load_time) < 2s", "max(peak_memory) < 4GiB",
        "cv(decode_rate) < 5%",
        "cv(decode_rate) < 0.05", "median(decode_rate) >= baseline(decode_rate, quant = F16) * 90%",
        "min(ttft) < 1s and max(ttft) < 2s",
        "not median(ttft) > 1s", "median(decode_rate) > 2 * median(prefill_rate) / 100",
        "median(ttft) - median(load_time) < 1s",
        "median(ttft) < limit", "median(decode_rate) / baseline(decode_rate, quant = F16) > 0.5",
        "median(decode_rate) > baseline(min(decode_rate), quant = F16)", "cv(decode_rate) < cv(ttft) + 5pp",
        "median(decode_rate) > min(3, 4) * 1tok/s",
    ],
)  # fmt: skip
def test_claims(claim: str) -> None:
    compiles(matrix("quant in [F16, Q8_0]", before="let limit = 1s", after=f"expect {claim}\nwarn {claim}  per quant"))


@pytest.mark.parametrize(
    ("claim", "code", "at"),
    [
        ("decode_rate >= 12tok/s", "E0703", "decode_rate"), ("median(decode_rate)", "E0705", None),
        ("5", "E0705", None), ("1 > 2", "E0705", None), ("min(3, 4) < 5", "E0705", None),
        ("median(decode_rate) >= 12", "E0312", "12"), ("median(decode_rate) >= 12ms", "E0704", "12ms"),
        ("average(decode_rate) > 1tok/s", "E0706", "average"), ("median(decode_rat) > 1tok/s", "E0701", "decode_rat"),
        ("median(energy) > 1J", "E0702", "energy"), ("median() > 1s", "E0707", None),
        ("median(ttft, load_time) > 1s", "E0707", None),
        ("median(ttft, q = 3) > 1s", "E0707", None), ("median(5) > 1s", "E0707", None),
        ("median(ttft) > nothing", "E0301", "nothing"),
        ("median(ttft) + median(decode_rate) > 1s", "E0712", "+"),
        ("baseline(ttft, quant = F16) > 1s", "E0703", "ttft"),
        ("median(ttft) > baseline(ttft)", "E0710", None),
        ("median(ttft) > baseline(ttft, quant = Q4_0)", "E0710", "Q4_0"),
        ("median(ttft) > baseline(ttft, quant = F16, quant = Q8_0)", "E0402", "quant"),
        ("median(ttft) > null", "E0705", "null"),
        ("median(ttft) > baseline(ttft, quan = F16)", "E0708", "quan"), ("median(ttft) == true", "E0705", "true"),
        ("median(ttft) < 1s  per quants", "E0708", "quants"),
        ("median(ttft) < 1s  per quant, quant", "E0715", "quant"),
        ("median(ttft) < 1s  where quant", "E0320", "quant"),
        ("median(ttft) < 1s  where nothing == 1", "E0301", "nothing"),
        ("median(ttft) < 1s  where quant == Q9", "E0305", "Q9"),
    ],
)  # fmt: skip
def test_faults_of_claims(claim: str, code: str, at: str | None) -> None:
    rejects(matrix("quant in [F16, Q8_0]", after=f"expect {claim}"), code, at)


def test_a_percentile_of_few_values_is_a_warning() -> None:
    compiles(bench("expect p95(ttft) < 1s"), warns=("W0709",))
    compiles(bench("run { repeat = 20 }\nexpect p95(ttft) < 1s"))
    compiles(bench("measure itl\nexpect p95(itl) < 1s"))  # over all gaps of the cell


def test_where_is_about_cells() -> None:
    spec = compiles(matrix("threads in [1, 2]", after="expect median(ttft) < 1s  where threads == 2"))
    assert spec.expectations[0].true == ((1,),)
    compiles(matrix("threads in [1, 2]", after="expect median(ttft) < 1s  where threads == 3"), warns=("W0714",))


def test_a_where_of_unknown_truth_is_not_judged() -> None:
    text = bench("expect median(ttft) < 1s  where model.size(Q8_0) > 1GiB")
    found = check(text).diagnostics
    assert [d.code for d in found] == ["W0509"] and "not judged" in found[0].message


def test_claims_keep_what_was_written() -> None:
    (one,) = compiles(bench("warn median(ttft)   <  1s  per model, device")).expectations
    assert (one.severity, one.text, one.where, one.per) == ("warn", "median(ttft) < 1s", "", ("model", "device"))


def test_a_broken_measure_makes_claims_quiet() -> None:
    found = check(bench("measure ttft,\nexpect median(decode_rate) > 5tok/s")).diagnostics
    assert all(d.code.startswith("E01") for d in found), shown(found)


def test_a_missing_role() -> None:
    for role in ("model", "engine", "device", "workload"):
        assert role in rejects(bench(without=role), "E0413").message
    every = rejects("bench b { }", "E0413", at="bench b")
    assert "model, engine, device and workload" in every.message and len(every.helps) == 4
    assert axis(compiles(bench()), "model").labels == ("m",)


def test_two_benches() -> None:
    found = rejects(bench() + "bench c { model = m }", "E0414")
    assert found.labels
    assert [d.code for d in check("let x = 1", need_bench=True).diagnostics] == ["E0417"]


def test_temperatures_in_claims() -> None:
    hot = "measure? soc_temp\nexpect "
    compiles(bench(hot + "max(soc_temp) - min(soc_temp) < 10K"))
    compiles(bench(hot + "max(soc_temp) + 5K < 90°C"))
    rejects(bench(hot + "mean(soc_temp) * 2 < 90°C"), "E0712", at="*")
    rejects(bench(hot + "max(soc_temp) + min(soc_temp) < 90°C"), "E0712", at="+")


def test_ratios_in_claims() -> None:
    compiles(bench("measure? cpu_util\nexpect median(cpu_util) < 50%"))
    compiles(bench("measure? cpu_util\nexpect median(cpu_util) < 0.5"))
    rejects(bench("measure? cpu_util\nexpect median(cpu_util) < 50"), "E0312", at="50")
    compiles(matrix("quant in [F16, Q8_0]", after="expect median(ttft) / baseline(ttft, quant = F16) < 1.5"))


def test_what_no_launch_could_meet_is_refused() -> None:
    rejects(bench("run { timeout = 0s }"), "E0315", at="0s")
    rejects(bench("run { max_load = 5 }"), "E0315", at="5")
    rejects(bench("run { max_load = 0 }"), "E0315", at="0")
    compiles(bench("run { timeout = 1ns, max_load = 0.3 }"))
