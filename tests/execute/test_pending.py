"""What is still to do: nothing lost, nothing twice, wherever an exec was stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.execute.history import History
from mobench_lang.execute.load import load
from mobench_lang.execute.pending import work
from mobench_lang.execute.progress import Progress, TrialEnded, TrialStarted
from tests.support import plans
from tests.support.runs import Lab, journal

ENDS = st.sampled_from(
    [("ok", ""), ("invalid", "wrong_threads"), ("failed", "crashed"), ("failed", "timeout"), ("", "")]
)


@settings(max_examples=60, deadline=None)
@given(
    cells=st.integers(1, 4),
    repeat=st.integers(1, 4),
    past=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), ENDS), max_size=12),
    retry_failed=st.booleans(),
)
def test_finished_and_pending_are_all_trials_once(
    cells: int, repeat: int, past: list[tuple[int, int, tuple[str, str]]], retry_failed: bool
) -> None:
    with TemporaryDirectory() as name:
        workloads = tuple(plans.workload(f"w{number}", prompt=number) for number in range(cells))
        build = load(plans.build(Path(name) / "build", workloads=workloads, repeat=repeat, retries=1))
    ids = build.ids
    history = History()
    for cell, rep, (status, reason) in past:
        # Also trials that this plan does not have (any more).
        key = {"device": "local", "cell": ids[cell] if cell < cells else "gone", "rep": rep}
        trial = history.trials.get(("local", key["cell"], rep))  # type: ignore[arg-type]
        history.take({"kind": "start", **key, "attempt": trial.attempts if trial else 0})
        if status:
            history.take({"kind": "end", **key, "status": status, "reason": reason})
    todo = work(build, list(range(cells)), history, retry_failed=retry_failed)
    pending = [(ids[slot.cell], slot.rep) for slot in todo.slots]
    assert len(pending) == len(set(pending))
    assert todo.done + len(pending) == todo.total == cells * repeat
    for cell_id in ids:
        for rep in range(repeat):
            trial = history.trials.get(("local", cell_id, rep))
            measured = trial is not None and (trial.status == "ok" or (trial.status == "invalid" and not retry_failed))
            if measured:
                assert (cell_id, rep) not in pending
            if trial is None or trial.status == "":
                assert (cell_id, rep) in pending
    build.close()


def test_stopped_at_every_step_it_still_measures_each_trial_once(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", engines=(plans.fake("ok"), plans.fake("crash+once")), repeat=2)

    async def stopped_at(step: int) -> bool:
        stop = asyncio.Event()
        seen = 0
        real = lab.progress.append

        def report(progress: Progress) -> None:
            nonlocal seen
            real(progress)
            seen += isinstance(progress, TrialStarted | TrialEnded)
            if seen == step:
                stop.set()

        from mobench_lang.execute import Options, execute

        result = await execute(build, lab.runs, Options(cache=tmp_path / "cache"), report, stop)
        return result.interrupted

    interrupted = [asyncio.run(stopped_at(step)) for step in (1, 2, 1, 3, 2, 4, 100)]
    assert interrupted[0] is True
    assert interrupted[-1] is False
    assert lab.exec(build).pending == 0
    (folder,) = lab.folders()
    ends = journal(folder, "end")
    good = [(r["cell"], r["rep"]) for r in ends if r["status"] == "ok"]
    assert len(good) == len(set(good)) == 4
    launches = [(r["cell"], r["rep"], r["attempt"]) for r in journal(folder, "start")]
    assert len(launches) == len(set(launches))
    closed = [(r["cell"], r["rep"], r["attempt"]) for r in ends]
    assert len(closed) == len(set(closed))
    assert set(closed) <= set(launches)
