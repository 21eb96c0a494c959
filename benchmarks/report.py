"""docs/performance.md from the results of the benchmarks.

In: `benchmarks/results/*.json`. Out: docs/performance.md, whole. Guarantee: every number on that page stands in a result
file; a benchmark that was not run is named as such. Run with: make bench, or python benchmarks/report.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"

HEAD = """# What mobench itself costs

An instrument is measured too. `make bench` runs everything on this page side by side with its peer or a bare baseline, in
one go, and writes the page anew from `benchmarks/results/`. Absolute figures are of the machine named there and of how
busy it was; ratios travel further. Nothing here is asserted by a test.
"""


def result(name: str) -> dict[str, Any] | None:
    """The result of a benchmark, None if it was not run."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.is_file() else None
    return found


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(r) + " |" for r in rows)]) + "\n"


def parity(r: dict[str, Any]) -> str:
    """Parity with llama-bench."""
    rows = []
    for name, t in r["tests"].items():
        low, high = (100 * (t[k] - 1) for k in ("low", "high"))
        rows.append((
            name, str(t["n"]), f"{t['llama-bench']['median_tok_s']:,.1f}", f"{t['mobench']['median_tok_s']:,.1f}",
            f"{100 * (t['ratio'] - 1):+.2f} %", f"{low:+.2f} … {high:+.2f} %", f"{t['llama-bench']['mad_percent']:.1f} %",
        ))  # fmt: skip
    m, loop = r["machine"], r["loop"]
    return f"""## Parity with llama-bench

The same work, the same shared objects of llama.cpp, {r["model"]["parameters"] / 1e6:.0f} M random weights in {r["model"]["quant"]},
{r["threads"]} thread; pairs of fresh processes in random order. Goal: the 90 % interval of the median ratio within ± 3 %.

{table(("test", "pairs", "llama-bench tok/s", "mobench tok/s", "median ratio", "90 % interval", "spread (MAD)"), rows)}
CPU time that mobench's loop adds per token, measured with the library's work left out (goal: ≤ 50 µs): random tokens
{loop["random_ns"] / 1000:.2f} µs, sampled text {loop["text_ns"] / 1000:.2f} µs.

{m["cpu"]}, {m["cores"]} cores; other programs kept {m["others_busy_cores"]} cores busy meanwhile. {r["build"]}.
"""


def runner(r: dict[str, Any]) -> str:
    """The runner beside llama-bench and the worker."""
    rows = []
    for name, t in r["tests"].items():
        low, high = (100 * (t[k] - 1) for k in ("low", "high"))
        goal = "met" if low >= -3 and high <= 3 else "missed"
        rows.append((
            name, str(t["n"]), f"{t['llama-bench']['median_tok_s']:,.1f}", f"{t['mobench']['median_tok_s']:,.1f}",
            f"{100 * (t['ratio'] - 1):+.2f} %", f"{low:+.2f} … {high:+.2f} %", goal,
        ))  # fmt: skip
    m, loop = r["machine"], r["loop"]
    return f"""## The runner beside llama-bench and the worker

As above, for the instrument of devices: against `llama-bench` two programs from one tree of objects, against the worker the
same shared objects. Every process gets other pages of memory, in random order. {r["threads"]} thread, at priority {m["nice"]}. Goal: the 90 % interval within ± 3 %, at most 5 µs per token.

{table(("test", "pairs", "other tok/s", "runner tok/s", "median ratio", "90 % interval", "goal"), rows)}
The runner's loop adds {loop["random_ns"]} ns per random token and {loop["text_ns"]} ns per sampled one.

{m["cpu"]}, {m["cores"]} cores; other programs kept {m["others_busy_cores"]} cores busy meanwhile.
"""


def host_cost(r: dict[str, Any]) -> str:
    """Host cost per trial."""
    names = {"between_ms": "everything outside engine start, load and windows (goal: ≤ 100)", "overhead_ms": "of which around the engine's process",
             "engine_start_ms": "engine start (reported on its own)", "load_ms": "load (reported on its own)"}  # fmt: skip
    rows = [(text, *(f"{r['summary'][k][x]:.1f}" for x in ("median", "min", "max"))) for k, text in names.items()]
    return f"""## Host cost per trial, in ms

{r["trials"]} trials of one cell with {r["engine"]}; load of the machine when it began: {r["load_1min"]:.2f}.

{table(("what", "median", "least", "most"), rows)}"""


def sampler(r: dict[str, Any]) -> str:
    """The sampler."""
    rows = [
        (
            x["sampler"],
            f"{x['hz']} Hz",
            str(x["channels"]),
            f"{x['rate_hz']:.2f} Hz",
            f"{x['core_percent']:.2f} %",
            f"{x['us_per_row']:.0f} µs",
        )
        for x in r["results"]
    ]
    goals = "; ".join(
        f"{x['sampler']} at {x['hz']} Hz ≤ {x['core_percent']} % of a core"
        + (f" and ≥ {x['rate_hz']:.0f} Hz reached" if x["rate_hz"] else "")
        for x in r["limits"]
    )
    return f"""## Samplers

Beside the engine's process, {r["seconds"]:.0f} s each: the local target's in Python, the runner's in C. Four channels are those of
the process and the machine, the others sensors; the runner reads six files in every row. Goals: {goals}.
Other programs kept {r["machine"]["others_busy_cores"]} cores busy meanwhile.

{table(("sampler", "wanted", "channels", "reached", "of a core", "CPU per reading"), rows)}"""


def startup(r: dict[str, Any]) -> str:
    """Start-up."""
    goals = {"mobench --help": 100, "mobench check quickstart.bench": 150}
    rows = []
    for name, x in r["commands"].items():
        goal = goals.get(name)
        said = "" if goal is None else f"≤ {goal}: {'met' if x['above_bare_ms'] <= goal else 'missed'}"
        rows.append((f"`{name}`", f"{x['median_ms']:.0f}", f"{x['above_bare_ms']:+.0f}", said))
    return f"""## Start-up, in ms

Whole processes, {r["rounds"]} interleaved rounds, warm, Python {r["python"]}; load of the machine when it began: {r["load_1min"]:.2f}.
A check spends most of its time on imports: about a quarter is click, a quarter the definition of records
([ADR 12](adr/0012-start-up.md)).

{table(("command", "median", "above bare python", "goal"), rows)}"""


def language(r: dict[str, Any]) -> str:
    """The compiler."""
    rows = []
    for name, x in r["tasks"].items():
        seconds = x.get("inner_s", x["seconds"])
        rate = ""
        if name.startswith(("expand", "jsonnet")):
            rate = f"{x['result'] / seconds / 1e3:,.0f} k cells/s" if name.startswith("expand") else ""
        elif name.startswith(("fmt", "python")):
            rate = f"{x['result'] / seconds / 1e6:.2f} MB/s"
        elif name.startswith("compile"):
            rate = f"{x['result'] / 1e6:.1f} MB on disk"
        rows.append((name, f"{seconds:.3f}", f"{x['peak_bytes'] / 1e6:.0f}", rate))
    left = f"\nNot compared: {', '.join(r['not_compared'])}, which was not installed.\n" if r["not_compared"] else ""
    return f"""## The compiler

Medians of {r["rounds"]} interleaved rounds in fresh processes. Expansion, formatting and python-hcl2 are timed inside the
process; the rest is the whole process but for the start of Python. Goals: `sweep.bench` (142,200 cells) compiled in ≤ 3 s,
≤ 400 MB of memory and ≤ 60 MB on disk; expansion ≥ 300 k cells/s, growing linearly; `check` of 2,000 lines ≤ 1.5 s and
≤ 150 MB; `fmt` ≥ 0.3 MB/s. jsonnet makes the same product of four numbers per cell, without ids, engines or workloads.

{table(("task", "seconds", "peak MB", ""), rows)}{left}"""


def store(r: dict[str, Any]) -> str:
    """The store."""
    raw, parquet = r["raw"], r["parquet"]
    rows = [
        ("raw JSONL → tables", f"{raw['events_per_s'] / 1e6:.2f} M events/s", f"{raw['events_per_cpu_s'] / 1e6:.2f} M per CPU second", "≥ 0.4 M/s"),
        ("DuckDB's own `read_json` of flat rows", f"{raw['read_json_rows_per_s'] / 1e6:.2f} M rows/s", "", "baseline"),
        ("typed Parquet → tables", f"{parquet['rows_per_s'] / 1e6:.2f} M rows/s", f"{parquet['ratio']:.2f} of the baseline", "≥ 0.7"),
        ("DuckDB's own `INSERT … SELECT`", f"{parquet['insert_select_rows_per_s'] / 1e6:.2f} M rows/s", "", "baseline"),
    ]  # fmt: skip
    slowest = sorted(r["queries_ms"].items(), key=lambda q: -q[1])[:6]
    shown = ", ".join(f"{n} {ms:.0f} ms" for n, ms in slowest)
    return f"""## The store

{raw["events"]:,} events (rows of `token` and `sample`); load of the machine when it began: {r["machine"]["load_1min_before"]:.2f}.

{table(("path", "speed", "", "goal"), rows)}
Named queries at a million samples (goal: ≤ 300 ms), the slowest: {shown}.
"""


def boards(r: dict[str, Any]) -> str:
    """Boards over SSH."""
    start, upload, several = r["start"], r["upload"], r["several"]
    rows = [
        (f"upload of {upload['bytes'] >> 20} MiB", f"{upload['mobench_mib_s']:.0f} MiB/s, scp {upload['scp_mib_s']:.0f}",
         f"{upload['ratio']:.2f} × scp (least of {upload['rounds']}: {upload['least_ratio']:.2f})", "≥ 0.9"),
        ("start of a detached launch", f"{start['start_ms']['median']:.0f} ms (90 %: {start['start_ms']['p90']:.0f}, n = {start['rounds']})",
         f"an empty command: {start['true_ms']['median']:.1f} ms", "≤ 150 ms"),
        (f"{several['boards']} boards, a launch of {several['launch_s']:.0f} s each", f"{several['many']['wall_s']:.1f} s, one {several['one']['wall_s']:.1f} s",
         f"{several['ratio']:.2f} × one", "≤ 1.1"),
    ]  # fmt: skip
    return f"""## Boards over SSH

Virtual boards: real sshds on loopback, {r["cores"]} cores for host and all boards; load of the machine when it began:
{r["load_1min"]:.2f}, {r["load_1min_after"]:.2f} at the end.

{table(("what", "measured", "beside", "goal"), rows)}"""


def phones(r: dict[str, Any]) -> str:
    """Phones over adb."""
    push, unchanged, several = r["push"], r["unchanged"], r["several"]
    rows = [
        (f"push of {push['bytes'] >> 20} MiB", f"{push['mobench_mib_s']:.0f} MiB/s, `adb push` {push['adb_mib_s']:.0f}",
         f"{push['ratio']:.2f} × `adb push` (least of {push['rounds']}: {push['least_ratio']:.2f})", "≥ 0.9"),
        (f"finding that {push['bytes'] >> 20} MiB are there", f"{unchanged['ms']:.1f} ms (most of 20: {unchanged['most_ms']:.1f})",
         f"{unchanged['bytes_of_commands']} bytes of commands, none of the model", "≤ 300 ms"),
        (f"{several['phones']} phones, a launch of {several['launch_s']} s each", f"{several['many']['wall_s']:.1f} s, one {several['one']['wall_s']:.1f} s",
         f"{several['ratio']:.2f} × one", "≤ 1.1"),
        ("CPU of the host's process for each of them", f"{100 * several['core_per_phone']:.1f} % of a core", "", "≤ 5 %"),
    ]  # fmt: skip
    return f"""## Phones over adb

Virtual phones: adb daemons of our own on loopback behind real adb servers, {r["cores"]} cores for host and all phones; load of the
machine when it began: {r["load_1min"]:.2f}, {r["load_1min_after"]:.2f} at the end.

{table(("what", "measured", "beside", "goal"), rows)}"""


SECTIONS = {
    "parity": parity, "runner": runner, "host_cost": host_cost, "sampler": sampler, "startup": startup, "language": language, "store": store,
    "boards": boards, "phones": phones,
}  # fmt: skip


def main() -> None:
    """Write the page."""
    parts = [HEAD]
    for name, section in SECTIONS.items():
        found = result(name)
        parts.append(section(found) if found is not None else f"## {name}\n\nNot run: `python benchmarks/{name}.py`.\n")
    parts.append(
        "## Intervals\n\nWhich intervals the verdicts use, and how often they hold the truth: "
        "[docs/adr/0010-intervals.md](adr/0010-intervals.md), from `benchmarks/coverage.py`.\n"
    )
    PAGE.write_text("\n".join(parts), "utf-8")
    print(f"{PAGE} written")


if __name__ == "__main__":
    main()
