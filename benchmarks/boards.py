"""What boards over SSH cost: upload beside `scp`, a detached start, eight boards beside one.

Usage: python benchmarks/boards.py [ROUNDS [SECONDS]]. Writes benchmarks/results/boards.json. Boards are virtual: real
sshds on loopback, whose processes run on this machine, too. Uploads of mobench and of scp take turns, and so do a start
and an empty command over another connection. A start is that of a launch as `exec` makes it: the runner is on the
board already, watches, and samples the rails; what it starts is a `sleep`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from mobench_targets.jetson import target
from mobench_targets.linux.connect import Address, connect
from mobench_targets.linux.virtual import VirtualBoard

from mobench_lang.ir import Entity
from mobench_lang.plan.render import render, renderer
from mobench_lang.plugins import Launch, Limits, Weights, engine
from mobench_lang.protocol import Job, JobEngine, JobModel, JobWorkload

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "boards.json"
MIB = 1 << 20
UPLOAD = 200 * MIB
BOARDS = 8
SPEC = """mobench 1
model m {{ source = path("m.gguf") }}
{devices}
bench study {{
  model = m
  engine = fake {{ behave = "slow" }}
  matrix {{ device in [{names}] }}
  workload = generate(prompt = 8, output = 1)
  run {{ warmup = 0, repeat = {passes}, isolation = cell, order = sequential }}
  measure load_time
}}
"""
PASS_S = 0.3
"""How long a pass of the fake instrument takes with `slow`."""
VALUES = {
    "bench": "boards", "device": {"name": "board", "target": "jetson"}, "cells": 1, "conditions": [], "models": [],
    "protocol": {"timeout_ns": 600_000_000_000, "abort_above": None, "start_below": None, "cooldown_ns": 0,
                 "gate_timeout_ns": 1},
}  # fmt: skip


def weights(path: Path) -> Weights:
    data = path.read_bytes()
    return Weights(path, hashlib.sha256(data).hexdigest(), len(data), "made")


async def uploads(board: VirtualBoard, folder: Path, rounds: int) -> dict[str, Any]:
    """MiB/s of a file of random bytes, by the transport and by `scp`."""
    source = folder / "upload"
    source.write_bytes(os.urandom(UPLOAD))
    config = str(board.attributes["ssh_config"])
    link = await connect(Address("board", config=config))
    there = board.folder / "arrived"
    spent: dict[str, list[float]] = {"mobench": [], "scp": []}
    try:
        for number in range(rounds):
            for name in ("mobench", "scp") if number % 2 else ("scp", "mobench"):
                there.unlink(missing_ok=True)
                begun = time.monotonic()
                if name == "mobench":
                    await link.push(source, str(there))
                else:
                    argv = ["scp", "-q", "-F", config, str(source), f"board:{there}"]
                    done = await asyncio.create_subprocess_exec(*argv)
                    if await done.wait() != 0:
                        raise SystemExit("scp failed")
                spent[name].append(time.monotonic() - begun)
    finally:
        await link.close()
    ratios = [b / a for a, b in zip(spent["mobench"], spent["scp"], strict=True)]
    return {
        "bytes": UPLOAD, "rounds": rounds, "ratio": round(median(ratios), 3), "least_ratio": round(min(ratios), 3),
        **{f"{name}_mib_s": round(UPLOAD / MIB / median(times), 1) for name, times in spent.items()},
    }  # fmt: skip


async def starts(board: VirtualBoard, folder: Path, rounds: int) -> dict[str, Any]:
    """ms of `start`, and of an empty command on the same connection."""
    scripts = folder / "scripts"
    scripts.mkdir()
    made = renderer("mobench_targets.jetson", ("mobench_targets.linux", "mobench_targets.shell"))
    for name in ("run.sh", "restore.sh", "board.sh"):
        (scripts / name).write_text(render(made, f"{name}.j2", VALUES))
    device = Entity(kind="device", name="b", base="jetson", pack="jetson", attrs=tuple(board.attributes.items()))
    runner = next(made for made in engine("llama_cpp").instruments() if made.platform == "host")  # type: ignore[attr-defined]
    if runner.path is None:
        raise SystemExit("the runner is not built: make runners")
    launch = Launch(("sleep", "0.05"), {}, {"runner": weights(runner.path)})
    session = await target.open(device, folder, scripts)
    link = await connect(Address("board", config=str(board.attributes["ssh_config"])))
    taken: list[float] = []
    empty: list[float] = []
    try:
        await session.facts()
        for number in range(rounds + 1):
            trial = folder / f"trial{number}"
            trial.mkdir()
            job = Job(
                job_id=f"run/cell/r{number}a0",
                model=JobModel(path="/nowhere", sha256="1" * 64),
                engine=JobEngine(name="fake", threads=1, extra={}),
                workload=JobWorkload(prompt_tokens=1, output_tokens=1),
            )
            begun = time.monotonic()
            await link.run("true")
            between = time.monotonic()
            await session.start(job, launch, trial, Limits(60_000_000_000))
            ended = time.monotonic()
            ended_as = await session.wait()
            if ended_as.status != "ok":
                raise SystemExit(f"the launch failed: {ended_as.detail}")
            if number:  # the first brings scripts and runner
                empty.append(1e3 * (between - begun))
                taken.append(1e3 * (ended - between))
    finally:
        await session.close()
        await link.close()
    return {"rounds": rounds, **{f"{name}_ms": spread(times) for name, times in (("start", taken), ("true", empty))}}


def spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median": round(median(ordered), 1), "least": round(ordered[0], 1), "most": round(ordered[-1], 1),
        "p90": round(ordered[int(0.9 * (len(ordered) - 1))], 1),
    }  # fmt: skip


def exec_(folder: Path, boards: list[VirtualBoard], passes: int) -> dict[str, float]:
    """An `exec` of its own; its wall time and CPU time in s."""
    folder.mkdir()
    (folder / "m.gguf").write_bytes(b"weights")
    names = [f"b{number}" for number in range(len(boards))]
    devices = "\n".join(
        f'device {name} {{ target = jetson, class = edge, ram = 8GiB, host = "{at.attributes["host"]}", '
        f'ssh_config = "{at.attributes["ssh_config"]}" }}'
        for name, at in zip(names, boards, strict=True)
    )
    (folder / "study.bench").write_text(SPEC.format(devices=devices, names=", ".join(names), passes=passes))
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests/support/packs"), str(ROOT)])}
    mobench = [sys.executable, "-m", "mobench_lang.cli.main"]
    subprocess.run([*mobench, "compile", "study.bench"], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    before, begun = os.times(), time.monotonic()
    done = subprocess.run([*mobench, "exec"], cwd=folder, env=env, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - begun, os.times()
    if done.returncode != 0:
        raise SystemExit(f"exec failed: {done.stdout}{done.stderr}")
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return {"wall_s": round(wall, 2), "host_cpu_s": round(spent, 2)}


def several(runner: asyncio.Runner, folder: Path, first: VirtualBoard, seconds: float) -> dict[str, Any]:
    """Wall time of a launch on one board, and on eight beside each other."""
    boards = [first]
    try:
        while len(boards) < BOARDS:
            boards.append(runner.run(VirtualBoard.begin("orin-nano", folder / f"scratch{len(boards)}")))
        passes = max(1, round(seconds / PASS_S))
        one, many = exec_(folder / "one", boards[:1], passes), exec_(folder / "many", boards, passes)
    finally:
        for board in boards[1:]:
            runner.run(board.end())
    ratio = round(many["wall_s"] / one["wall_s"], 3)
    return {"boards": BOARDS, "launch_s": passes * PASS_S, "one": one, "many": many, "ratio": ratio}


def main() -> None:
    """Measure, write the results; exit status 1 where a goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    found: dict[str, Any] = {"load_1min": round(os.getloadavg()[0], 2), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name, asyncio.Runner() as runner:
        folder = Path(name)
        board = runner.run(VirtualBoard.begin("orin-nano", folder / "scratch0"))
        try:
            found["start"] = runner.run(starts(board, folder, 4 * rounds))
            found["upload"] = runner.run(uploads(board, folder, rounds))
            found["several"] = several(runner, folder, board, seconds)
        finally:
            runner.run(board.end())
    found["load_1min_after"] = round(os.getloadavg()[0], 2)
    RESULT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))
    met = found["start"]["start_ms"]["median"] <= 150 and found["upload"]["ratio"] >= 0.9
    sys.exit(0 if met and found["several"]["ratio"] <= 1.1 else 1)


if __name__ == "__main__":
    main()
