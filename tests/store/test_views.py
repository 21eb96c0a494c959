"""What the views and the named queries say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobench_lang.metrics import metrics
from mobench_lang.store import schema
from mobench_lang.store.database import reading, run, writing
from mobench_lang.store.load import load_run
from mobench_lang.store.query import ask, named
from tests.support.folders import MS, Passes, RunFolder, samples_text


@pytest.fixture
def db(tmp_path: Path) -> Path:
    made = RunFolder(tmp_path, metrics=("decode_rate", "energy", "soc_temp"))
    made.rates("c000", [10, 12, 11])
    made.rates("c001", [5 + i / 10 for i in range(10)])
    samples = samples_text({"soc_temp": ("m°C", "z")}, [(t * MS, [45_000]) for t in range(900, 2000, 10)])
    made.launch(rep=3, samples=samples, flags=["busy_host"])
    made.launch(rep=4, status="failed", reason="crashed")
    path = tmp_path / "db.duckdb"
    with writing(path) as connection:
        load_run(connection, made.done().path)
    return path


def test_results_has_a_column_per_axis_and_metric(db: Path) -> None:
    with reading(db) as connection:
        columns = [r[0] for r in run(connection, "DESCRIBE results")]
        assert {"run_id", "bench", "simulated", "model", "quant", "engine", "device", "workload"} <= set(columns)
        assert set(metrics()) <= set(columns)
        assert run(connection, "SELECT count(*), count(soc_temp), count(energy) FROM results") == [(14, 1, 0)]


def test_summary_shows_a_range_below_eight_and_an_interval_from_there(db: Path) -> None:
    with reading(db) as connection:
        query = """SELECT quant, n, median, low, high, "interval", failed FROM summary
                   WHERE metric = 'decode_rate' ORDER BY quant DESC"""
        few, many = run(connection, query)
        assert few[:2] == ("Q8_0", 4)
        assert few[2:] == (pytest.approx(95.45, abs=0.01), pytest.approx(83.33, abs=0.01), 100.0, "range", 1)
        assert many[:2] == ("Q4_0", 10)
        assert many[5:] == ("95 %", 0)
        values = sorted(1000 / (5 + i / 10) for i in range(10))
        assert values[0] < many[3] < many[2] < many[4] < values[-1]


def test_the_constants_are_scipy_s(db: Path) -> None:
    from scipy import stats

    for row in json.loads(schema.constants()):
        n, d = row["n"], row["depth"]
        outer, inner = (1 - 2 * stats.binom.cdf(k - 1, n, 0.5) for k in (d, d + 1))
        assert outer >= 0.95 > inner
        share = (outer - 0.95) / (outer - inner)
        assert row["weight"] == pytest.approx((n - d) * share / (d + (n - 2 * d) * share), abs=1e-8)
        assert row["t"] == pytest.approx(stats.t.ppf(0.975, n - 1), abs=1e-8)
        assert row["chi_low"] == pytest.approx(stats.chi2.ppf(0.025, n - 1), abs=1e-7)
        assert row["chi_high"] == pytest.approx(stats.chi2.ppf(0.975, n - 1), abs=1e-7)


def test_more_values_than_the_constants_have(tmp_path: Path) -> None:
    made = RunFolder(tmp_path)
    made.rates("c000", [10 + i / 100 for i in range(3)])
    with writing(tmp_path / "db.duckdb") as connection:
        load_run(connection, made.path)
        run(
            connection,
            """INSERT INTO metric SELECT run_id, trial_id, 'decode_rate', 1000 / (10 + i / 1000), 'tok/s', '', NULL,
            NULL FROM trial, range(200) r(i) WHERE NOT warmup""",
        )
        (found,) = run(connection, "SELECT n, low, median, high FROM summary WHERE metric = 'decode_rate'")
        assert found[0] == 603
        assert found[1] < found[2] < found[3]


def test_llama_bench_has_that_tool_s_columns(db: Path) -> None:
    with reading(db) as connection:
        columns = {r[0] for r in run(connection, "DESCRIBE llama_bench")}
        assert columns >= {
            "build_commit", "cpu_info", "gpu_info", "backends", "model_filename", "model_type", "model_size",
            "model_n_params", "n_batch", "n_ubatch", "n_threads", "type_k", "type_v", "n_gpu_layers",
            "flash_attn", "n_prompt",
            "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts",
        }  # fmt: skip
        found = run(connection, "SELECT n_prompt, n_gen, len(samples_ts) FROM llama_bench ORDER BY ALL")
        assert found == [(0, 4, 4), (0, 4, 10), (8, 0, 4), (8, 0, 10)]


def test_pareto_keeps_what_nothing_beats(db: Path) -> None:
    with reading(db) as connection:
        assert run(connection, "SELECT axes['quant'] FROM pareto") == [("Q4_0",)]


def test_energy_and_throttling_have_rows(db: Path) -> None:
    with reading(db) as connection:
        assert run(connection, "SELECT DISTINCT metric, value, reason FROM energy ORDER BY reason") == [
            ("energy", None, "crashed"),
            ("energy", None, "not_delivered"),
        ]
        assert run(connection, "SELECT count(*), max(soc_temp_most) FROM throttling") == [(14, 45.0)]


@pytest.mark.parametrize("name", sorted(named()))
def test_every_named_query_answers(db: Path, name: str) -> None:
    query = named()[name]
    assert query.doc
    assert query.doc.endswith(".")
    with reading(db, sealed=True) as connection:
        (answer,) = ask(connection, query.sql)
    assert answer.columns
    assert answer.rows or name in ("verdicts",)


def test_views_of_an_empty_database(tmp_path: Path) -> None:
    with writing(tmp_path / "db.duckdb") as connection:
        made = RunFolder(tmp_path)
        load_run(connection, made.path)
        assert run(connection, "SELECT * FROM results") == []
        assert run(connection, "SELECT * FROM summary") == []


def test_itl_of_one_request(tmp_path: Path) -> None:
    made = RunFolder(tmp_path)
    made.launch(passes=Passes(output=5, jitter=(0, 0, 0, 0, 5 * MS)))
    with writing(tmp_path / "db.duckdb") as connection:
        load_run(connection, made.path)
        (answer,) = ask(connection, named()["itl"].sql)
        assert answer.rows[0][2:4] == (4, 10.0)
        (answer,) = ask(connection, named()["slowest_tokens"].sql)
        assert answer.rows[0][1] == 15.0
