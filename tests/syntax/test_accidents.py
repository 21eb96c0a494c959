"""One accident, one error, on its line: measured over the example specs, per class of token.

A mutant that still parses is no error and does not count. A bracket may be reported two lines away, and by either of
its two places: where it opens, or where its partner is missing.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

from mobench_lang.source import Source
from mobench_lang.syntax import parse
from tests.syntax.examples import SPECS
from tests.syntax.mutate import Mutant, mutants

SHARE = 0.97
EVERY = 7  # a seventh of some four thousand mutants takes two seconds


def is_told_well(mutant: Mutant) -> bool | None:
    """True if the mutant gives one error in the right place, None if it is correct."""
    found = parse(Source("mutant.bench", mutant.text))[1]
    if not found:
        return None
    lines = {found[0].span.line}
    if mutant.token_class == "delimiter":
        lines |= {label.span.line for label in found[0].labels}
    return len(found) == 1 and any(line in mutant.lines for line in lines)


def report(specs: list[Source], seed: int, every: int) -> tuple[Counter[str], Counter[str], list[Mutant]]:
    """How many mutants there are and how many are told well, per class of token, and the others."""
    total: Counter[str] = Counter()
    well: Counter[str] = Counter()
    badly: list[Mutant] = []
    for spec in specs:
        for mutant in islice(mutants(spec, seed), seed % every, None, every):
            told = is_told_well(mutant)
            if told is not None:
                total[mutant.token_class] += 1
                well[mutant.token_class] += told
                badly += [] if told else [mutant]
    return total, well, badly


def test_one_accident_gives_one_error_in_its_place() -> None:
    small = [spec for spec in SPECS if len(spec.text) < 3000 and "sweep" not in spec.name]
    total, well, badly = report(small, seed=1, every=EVERY)
    table = "\n".join(f"{name:10} {well[name]:5} of {total[name]:5}" for name in sorted(total))
    told = "\n".join(f"{m.deed!r} around line {m.lines[len(m.lines) // 2]}" for m in badly)
    assert sum(total.values()) >= 500, table
    assert sum(well.values()) >= SHARE * sum(total.values()), f"{table}\n{told}"
    for name in total:
        assert well[name] >= 0.9 * total[name], f"{table}\n{told}"


def test_files_without_indentation_are_told_nearly_as_well() -> None:
    flat = [Source(s.name, "\n".join(line.lstrip() for line in s.text.split("\n"))) for s in SPECS if "rich" in s.name]
    total, well, _ = report(flat, seed=2, every=4)
    assert sum(well.values()) >= 0.95 * sum(total.values())


if __name__ == "__main__":
    for seed in (1, 2, 3):
        counted, good, _ = report(SPECS, seed, every=1)
        for token_class in sorted(counted):
            print(f"seed {seed} {token_class:10} {good[token_class]:5} of {counted[token_class]:5}")
        print(f"seed {seed} all        {good.total():5} of {counted.total():5}")
