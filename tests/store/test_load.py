"""Loading: nothing lost, nothing twice, in any order, and all or nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobench_lang.store import schema
from mobench_lang.store.database import StoreError, reading, run, writing
from mobench_lang.store.export import export
from mobench_lang.store.load import load_parquet, load_run
from tests.support.folders import MS, Passes, RunFolder, default_axes, entity, samples_text


def dump(db: Path) -> dict[str, list[Any]]:
    """Everything in a database, in an order of its own."""
    with reading(db) as connection:
        return {t.name: sorted(map(repr, run(connection, f"FROM {t.name}"))) for t in schema.tables()}


def load(db: Path, *runs: RunFolder) -> dict[str, list[Any]]:
    with writing(db) as connection:
        for folder in runs:
            load_run(connection, folder.path)
    return dump(db)


def full(root: Path, name: str = "run-a", **options: Any) -> RunFolder:
    """A run with everything: attempts, failures, samples, scores, skips."""
    run = RunFolder(root, name, **options)
    samples = samples_text({"soc_temp": ("m°C", "z")}, [(t * MS, [45_000]) for t in range(900, 2000, 10)])
    score = {"e": "score", "id": "q1", "logprob": -1.5, "tokens": 3, "greedy": True}
    fault = {"e": "error", "t": 5, "code": "engine_error", "message": 'it\'s "broken"'}
    run.launch(samples=samples, passes=Passes(events=[score]))
    run.launch(rep=1, passes=Passes(events=[fault]), status="failed", reason="engine_error")
    run.launch(rep=1, attempt=1)
    run.launch("c001", status="failed", reason="out_of_memory")
    run.journal("skip", device="local", cell="c001", rep=1, status="skipped", reason="not_found", detail="")
    run.journal("artifact", key="k", model="tiny", quant="Q8_0", path="/x", sha256="ab", size=5, note="found")
    run.journal("device", device="local", identity="m1", facts={"cpu": "y", "os": "z"}, conditions=[])
    return run.done()


def test_plain_duckdb_answers_the_demo_s_question(tmp_path: Path) -> None:
    import duckdb

    made = RunFolder(tmp_path)
    made.rates("c000", [10, 20, 40])
    made.rates("c001", [5])
    load(tmp_path / "db.duckdb", made.done())
    with duckdb.connect(str(tmp_path / "db.duckdb")) as connection:
        found = connection.execute("select quant, median(decode_rate) from results group by quant order by quant")
        assert found.fetchall() == [("Q4_0", 200.0), ("Q8_0", 50.0)]


def test_every_status_is_a_row(tmp_path: Path) -> None:
    db = tmp_path / "db.duckdb"
    load(db, full(tmp_path))
    with reading(db) as connection:
        found = run(
            connection,
            "SELECT cell_id, rep, attempt, status, reason, final FROM trial WHERE NOT warmup ORDER BY ALL",
        )
        assert found == [
            ("c000", 0, 0, "ok", None, True),
            ("c000", 1, 0, "failed", "engine_error", False),
            ("c000", 1, 1, "ok", None, True),
            ("c001", 0, 0, "failed", "out_of_memory", True),
            ("c001", 1, 0, "skipped", "not_found", True),
        ]
        assert run(connection, "SELECT count(*), count(value) FROM metric WHERE name = 'decode_rate'") == [(8, 4)]
        assert run(connection, "SELECT count(*) FROM metric WHERE value = 0") == [(0,)]
        assert run(connection, "SELECT source, data->>'code' FROM event WHERE kind = 'error'") == [
            ("trials/local/c000/r1a0", "engine_error")
        ]
        assert run(connection, "SELECT sha256, note FROM artifact") == [("ab", "found")]
        assert run(connection, "SELECT facts->>'cpu' FROM device") == [("y",)]
        assert run(connection, "SELECT DISTINCT channel, value, raw FROM sample") == [("soc_temp", 45.0, 45_000)]
        assert run(connection, "SELECT score, perplexity FROM results WHERE score IS NOT NULL")[0][0] == 1.0


def test_decode_rate_computed_from_token_agrees(tmp_path: Path) -> None:
    from mobench_lang.store.query import ask, named

    made = RunFolder(tmp_path)
    noise = random.Random(1)
    for rep in range(4):
        jitter = [noise.randrange(5 * MS) for _ in range(50)]
        made.launch(rep=rep, passes=Passes(output=50, requests=3, jitter=jitter))
    load(tmp_path / "db.duckdb", made.done())
    with reading(tmp_path / "db.duckdb") as connection:
        (answer,) = ask(connection, named()["decode_rate"].sql)
    assert len(answer.rows) == 8
    assert all(row[-1] < 1e-12 for row in answer.rows)


def test_loading_twice_is_loading_once(tmp_path: Path) -> None:
    made = full(tmp_path)
    once = load(tmp_path / "a.duckdb", made)
    assert load(tmp_path / "a.duckdb", made) == once
    assert load(tmp_path / "b.duckdb", made, made) == once


def test_a_run_that_went_on_is_replaced(tmp_path: Path) -> None:
    made = RunFolder(tmp_path)
    made.launch()
    before = load(tmp_path / "db.duckdb", made)
    made.launch(rep=1)
    made.done()
    after = load(tmp_path / "db.duckdb", made)
    assert len(after["trial"]) == len(before["trial"]) + 2
    assert after == load(tmp_path / "new.duckdb", made)


def test_the_order_of_runs_does_not_matter(tmp_path: Path) -> None:
    runs = [full(tmp_path, f"run-{i}", axes=default_axes(**{f"x{i}": [1, 2]})) for i in range(3)]
    first = load(tmp_path / "a.duckdb", *runs)
    assert load(tmp_path / "b.duckdb", *reversed(runs)) == first


journals = st.lists(
    st.tuples(st.sampled_from(["c000", "c001"]), st.integers(0, 2), st.sampled_from(["ok", "failed", "invalid", None])),
    max_size=6,
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(launches=journals, cut=st.integers(0, 400), order=st.permutations([0, 1]))
def test_any_folder_loads_the_same_however_often(
    tmp_path_factory: pytest.TempPathFactory, launches: list[tuple[str, int, str | None]], cut: int, order: list[int]
) -> None:
    """Torn anywhere, loaded in any order and again: the rows are those of one load into an empty database."""
    root = tmp_path_factory.mktemp("any")
    runs = [RunFolder(root, f"run-{i}") for i in range(2)]
    for made in runs:
        attempts: dict[tuple[str, int], int] = {}
        for cell, rep, status in launches:
            attempt = attempts.get((cell, rep), 0)
            attempts[cell, rep] = attempt + 1
            folder = made.launch(cell, rep, attempt, status=status, passes=Passes() if status != "failed" else None)
            for file in ("events.jsonl", "samples.jsonl"):
                if (folder / file).exists() and rep == 2:
                    data = (folder / file).read_bytes()
                    (folder / file).write_bytes(data[: max(len(data) - cut, 0)])
    journal = runs[0].path / "journal.jsonl"
    data = journal.read_bytes()
    journal.write_bytes(data[: max(len(data) - cut, 0)])
    expected = load(root / "a.duckdb", *runs)
    assert load(root / "b.duckdb", *(runs[i] for i in order), runs[0]) == expected
    keys = [r.split(",")[:2] for r in expected["trial"]]
    assert len({tuple(k) for k in keys}) == len(keys)


hostile = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(axis=hostile, label=hostile, attribute=hostile)
def test_hostile_names_stay_names(
    tmp_path_factory: pytest.TempPathFactory, axis: str, label: str, attribute: str
) -> None:
    from mobench_lang.plan.model import PlanAxis

    root = tmp_path_factory.mktemp("hostile")
    axes = [a for a in default_axes() if a.name != "engine"]
    axes.append(PlanAxis(name=axis, type="string", values=(label,), labels=(label,)))
    thing = entity("engine", label, **{attribute: 4})
    axes.append(PlanAxis(name="engine", type="engine", values=(thing,), labels=(label,)))
    made = RunFolder(root, axes=tuple(axes), bench=label)
    made.rates("c000", [10])
    load(root / "it's [a] *.duckdb", made)
    with reading(root / "it's [a] *.duckdb") as connection:
        assert run(connection, "SELECT bench, engine, decode_rate FROM results") == [(label, label, 100.0)]
        assert run(connection, "SELECT axes[?] FROM cell WHERE cell_id = 'c000'", [axis])[0][0] == label
        assert run(connection, "SELECT count(*) FROM summary")[0][0] > 0


@pytest.mark.parametrize(
    "name", ["run_id", "decode_rate", "Trial_ID", "metric", "n", 'a"b', "select", "x; drop table run"]
)
def test_an_axis_may_bear_any_name(tmp_path: Path, name: str) -> None:
    """The checker refuses most of these; the store must not depend on it."""
    made = RunFolder(tmp_path, axes=default_axes(**{name: [7]}))
    made.rates("c000", [10])
    load(tmp_path / "db.duckdb", made)
    with reading(tmp_path / "db.duckdb") as connection:
        columns = [r[0] for r in run(connection, "DESCRIBE results")]
        rate = "decode_rate" if name != "decode_rate" else "metric_decode_rate"
        axis = next(c for c in columns if c.lower() in (name.lower(), f"axis_{name.lower()}") and (c != "run_id"))
        assert len({c.lower() for c in columns}) == len(columns)
        if name.lower() in ("run_id", "trial_id"):
            axis = f"axis_{name}"
        assert run(connection, f"SELECT {schema.identifier(axis)}, {rate} FROM results") == [(7, 100.0)]
        assert run(connection, "SELECT median FROM summary WHERE metric = 'decode_rate'") == [(100.0,)]


def test_numbers_are_numbers_and_labels_are_labels(tmp_path: Path) -> None:
    made = RunFolder(tmp_path, axes=default_axes(threads=[1, 2]))
    made.rates("c000", [10])
    load(tmp_path / "db.duckdb", made)
    with reading(tmp_path / "db.duckdb") as connection:
        found = run(connection, "SELECT threads + 1, engine_threads, quant, device_target, model_params FROM results")
        assert found == [(2, 2, "Q8_0", "local", 1000)]


def test_simulated_and_real_trials_do_not_mix(tmp_path: Path) -> None:
    real, simulated = full(tmp_path, "real"), full(tmp_path, "simulated", simulated=True)
    db = tmp_path / "db.duckdb"
    before = load(db, real)
    with pytest.raises(StoreError, match="real trials") as caught:
        load(db, simulated)
    assert caught.value.code == "mixed"
    assert dump(db) == before


def test_a_killed_load_leaves_what_was_there(tmp_path: Path) -> None:
    made = full(tmp_path)
    db = tmp_path / "db.duckdb"
    before = load(db, made)
    for rep in range(2, 40):
        made.launch(rep=rep, passes=Passes(output=2000))
    script = (
        "import sys, os, threading; from pathlib import Path\n"
        "from mobench_lang.store import load\n"
        "from mobench_lang.store.database import writing\n"
        "load.SMALL_BATCH = 50\n"
        "refresh = load.refresh\n"
        "def last(connection): print('written', flush=True); sys.stdin.read()\n"
        "load.refresh = last\n"
        "with writing(Path(sys.argv[1])) as c: load.load_run(c, Path(sys.argv[2]))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(db), str(made.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"written\n"
    with pytest.raises(StoreError) as caught, writing(db, patience_s=0):
        pass
    assert caught.value.code == "locked"
    assert f"process {child.pid}" in str(caught.value)
    child.kill()
    child.wait()
    child.stdout.close()
    assert child.stdin is not None
    child.stdin.close()
    assert dump(db) == before
    assert load(db, made) == load(tmp_path / "new.duckdb", made)


def test_a_failing_load_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = full(tmp_path)
    db = tmp_path / "db.duckdb"
    before = load(db, made)
    made.launch(rep=2)
    monkeypatch.setattr("mobench_lang.store.load.refresh", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load(db, made)
    assert dump(db) == before


def test_an_export_loads_again(tmp_path: Path) -> None:
    db = tmp_path / "db.duckdb"
    before = load(db, full(tmp_path, "it's [1]"), full(tmp_path, "other"))
    folder = tmp_path / "ex'port [x]"
    with reading(db) as connection:
        export(connection, folder)
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{t.name}.parquet" for t in schema.data_tables())
    with writing(tmp_path / "again.duckdb") as connection:
        assert load_parquet(connection, folder) == ["it's [1]", "other"]
        load_parquet(connection, folder)
    assert dump(tmp_path / "again.duckdb") == before


def test_an_export_of_one_run(tmp_path: Path) -> None:
    db = tmp_path / "db.duckdb"
    load(db, full(tmp_path, "a"), full(tmp_path, "b"))
    with reading(db) as connection:
        counts = export(connection, tmp_path / "out", ["b"])
    assert counts["run"] == 1
    with writing(tmp_path / "b.duckdb") as connection:
        assert load_parquet(connection, tmp_path / "out") == ["b"]


def test_what_is_no_export_is_said(tmp_path: Path) -> None:
    with writing(tmp_path / "db.duckdb") as connection, pytest.raises(StoreError, match="no export"):
        load_parquet(connection, tmp_path)


def test_texts_that_are_no_unicode_do_not_stop_a_load(tmp_path: Path) -> None:
    made = RunFolder(tmp_path)
    made.launch()
    with (made.path / "journal.jsonl").open("a") as file:
        file.write('{"kind": "note", "t": 1, "seq": 99, "level": "x", "message": "\\ud800 and \\u0000"}\n')
    load(tmp_path / "db.duckdb", made)
    with reading(tmp_path / "db.duckdb") as connection:
        assert run(connection, "SELECT data->>'message' FROM event WHERE kind = 'note'") == [("? and \ufffd",)]


def test_an_open_reader_is_waited_for(tmp_path: Path) -> None:
    """A report that holds the file for a moment must not make an exec fail at its end."""
    db = tmp_path / "db.duckdb"
    load(db, full(tmp_path))
    holder = subprocess.Popen(
        [sys.executable, "-c", "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print(1, flush=True); "
         "time.sleep(0.5); c.close()", str(db)], stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    began = time.monotonic()
    with writing(db, patience_s=30):
        assert time.monotonic() > began
    holder.wait()
    holder.stdout.close()
