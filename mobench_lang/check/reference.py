"""The tables of the language reference, made from what the checker itself reads.

In: the schema, the manifests of the packs that come with mobench, the functions and the units. Out: `docs/language.md`
with the text between its markers written anew: `python -m mobench_lang.check.reference docs/language.md`. Guarantee:
packs of others that happen to be installed do not show.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from mobench_lang.check.claims import AGGREGATES
from mobench_lang.check.functions import SIGNATURES
from mobench_lang.check.schema import Schema, schema
from mobench_lang.check.units import DIMENSIONS
from mobench_lang.packs import GROUPS, Attribute, Manifest

_MARKED = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def updated(text: str) -> str:
    """The text with every marked table as it should be. Raises KeyError for a marker that names no table."""
    made = tables(schema())
    return _MARKED.sub(lambda m: f"{m[1]}\n{made[m[2]]}\n{m[3]}", text)


def tables(known: Schema) -> dict[str, str]:
    """Every table by name, as Markdown."""
    targets, engines = _own(known.targets, "target"), _own(known.engines, "engine")
    found = {kind: _attributes(block.attributes) for kind, block in known.blocks.items() if block.attributes}
    found["units"] = _units()
    found["functions"] = _functions()
    found["aggregates"] = ", ".join(f"`{a}`" for a in AGGREGATES) + "\n"
    found["quants"] = _quants(known, engines)
    found["conditions"] = _conditions(targets)
    found["metrics"] = _metrics(known, targets, engines)
    for name, manifest in targets.items():
        found[f"target {name}"] = _pack(manifest)
    for name, manifest in engines.items():
        found[f"engine {name}"] = _pack(manifest)
    return found


def _own(packs: Mapping[str, Manifest], kind: str) -> dict[str, Manifest]:
    """The packs that come with mobench."""
    ours = {p.name for p in metadata.distribution("mobench").entry_points if p.group == GROUPS[kind]}
    return {name: packs[name] for name in sorted(packs) if name in ours}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _attributes(attributes: Mapping[str, Attribute]) -> str:
    rows = ((f"`{name}`", _type(a), _default(a), a.doc) for name, a in attributes.items() if not a.reserved)
    return _table(("attribute", "type", "default", "meaning"), rows)


def _type(attribute: Attribute) -> str:
    if attribute.type == "enum":
        return " ".join(f"`{v}`" for v in attribute.values)
    low, high = attribute.min, attribute.max
    if low is None and high is None:
        return attribute.type
    if high is None:
        return f"{attribute.type}, at least {low}"
    return f"{attribute.type}, {low} to {high}" if low is not None else f"{attribute.type}, at most {high}"


def _default(attribute: Attribute) -> str:
    return "**required**" if attribute.required else attribute.default or "–"


def _pack(manifest: Manifest) -> str:
    intro = manifest.summary + (f" Not executed: {manifest.why_not}." if not manifest.executes else "")
    if not manifest.parameters:
        return f"{intro} It adds no attributes.\n"
    return f"{intro}\n\n{_attributes(manifest.parameters)}"


def _units() -> str:
    rows = ((d.name, " ".join(f"`{unit}`" for unit, _ in d.units)) for d in DIMENSIONS.values())
    return _table(("kind", "units"), rows)


def _functions() -> str:
    def call(name: str) -> str:
        parts = (f"{p}{'?' if optional else ''}" for p, _, optional in SIGNATURES[name].parameters)
        return f"`{name}({', '.join(parts)})`"

    rows = [(call(name), s.gives, s.doc) for name, s in SIGNATURES.items()]
    rows.append(("`generate(prompt, output, …)`", "workload", "An anonymous workload; takes every attribute of one."))
    size = "Bytes of the weights: those of the locked file, else `params` × bits per weight, else unknown."
    rows.append(("`model.size(quant)`", "size", size))
    return _table(("call", "gives", "meaning"), rows)


def _quants(known: Schema, engines: Mapping[str, Manifest]) -> str:
    names = dict.fromkeys(q for m in engines.values() for q in m.quants)
    head = (
        "format",
        "bits per weight",
        *(f"`{name}` runs" for name in engines),
        *(f"`{name}` makes" for name in engines),
    )
    rows = (
        (
            f"`{q}`",
            f"{known.bits[q]:g}" if q in known.bits else "–",
            *("yes" if q in m.quants else "" for m in engines.values()),
            *("yes" if q in m.derives else "" for m in engines.values()),
        )
        for q in names
    )
    return _table(head, rows)


def _conditions(targets: Mapping[str, Manifest]) -> str:
    names = dict.fromkeys(c for m in targets.values() for c in m.conditions)
    first = {c: next(m.conditions[c] for m in targets.values() if c in m.conditions) for c in names}
    rows = (
        (f"`{c}`", _type(first[c]), first[c].doc, ", ".join(f"`{n}`" for n, m in targets.items() if c in m.conditions))
        for c in names
    )
    return _table(("condition", "type", "meaning", "targets"), rows)


def _metrics(known: Schema, targets: Mapping[str, Manifest], engines: Mapping[str, Manifest]) -> str:
    def who(name: str) -> str:
        if any(name in m.metrics for m in engines.values()):
            return "all"
        return ", ".join(f"`{t}`" for t, m in targets.items() if name in m.metrics) or "none yet"

    rows = ((f"`{m.name}`", m.dimension, m.unit, who(m.name), m.doc) for m in known.metrics.values())
    return _table(("metric", "compared with", "unit in the database", "targets", "meaning"), rows)


def main() -> None:
    """Write the tables of the files that are named anew."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(updated(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
