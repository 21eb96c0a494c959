"""The schema: which blocks and attributes exist, of which type, with which words.

In: `schema.toml` and the manifests of the installed packs. Out: `Schema`, what the checker, the reference in docs/ and
the editors read. Guarantee: no pack is imported; the same installation gives the same schema.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from mobench_lang.frozen import from_plain, frozen
from mobench_lang.metrics import MetricInfo, metrics
from mobench_lang.packs import Attribute, Manifest, manifests

DECLARED = ("model", "engine", "device", "workload", "task", "meter")
ROLES = ("model", "quant", "engine", "device", "workload")
PROTOCOL_BLOCKS = ("run", "thermal", "conditions")


@frozen
class BlockInfo:
    """One kind of block: what it is for, its attributes, and why it cannot be used yet, if so."""

    doc: str
    attributes: Mapping[str, Attribute]
    reserved: str = ""


@dataclass(frozen=True)
class Schema:
    """Everything that names and values are checked against."""

    blocks: Mapping[str, BlockInfo]
    targets: Mapping[str, Manifest]
    engines: Mapping[str, Manifest]
    metrics: Mapping[str, MetricInfo]
    bits: Mapping[str, float]

    @cached_property
    def quants(self) -> tuple[str, ...]:
        """Every weight format that some engine can run."""
        return tuple(dict.fromkeys(q for m in self.engines.values() for q in m.quants))

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that some attribute accepts."""
        found = {*self.quants, *self.targets, "all", "big_cores", "little_cores"}
        for kind in (*self.blocks, "conditions"):
            for attribute in self.attributes(kind).values():
                found.update(attribute.values)
        return frozenset(found)

    @cached_property
    def conditions(self) -> dict[str, Attribute]:
        """Every condition that some target can set."""
        return {k: a for m in self.targets.values() for k, a in m.conditions.items()}

    def attributes(self, kind: str, pack: str = "") -> dict[str, Attribute]:
        """The attributes of a block; those of a device or engine need the pack, without it: of every pack."""
        if kind == "conditions":
            return self.conditions
        found = dict(self.blocks[kind].attributes)
        if kind in ("device", "engine"):
            packs = self.targets if kind == "device" else self.engines
            for name, manifest in packs.items():
                if pack in ("", name):
                    found.update(manifest.parameters)
        return found

    def homes(self, key: str, but: str = "") -> tuple[str, ...]:
        """The kinds of blocks that have an attribute, without one of them."""
        kinds = (*DECLARED, *PROTOCOL_BLOCKS)
        return tuple(k for k in kinds if k != but and key in self.attributes(k))

    def targets_with(self, metric: str) -> tuple[str, ...]:
        """The targets that deliver a metric of their own."""
        return tuple(sorted(n for n, m in self.targets.items() if metric in m.metrics))


@cache
def schema() -> Schema:
    """The schema of this installation. Raises packs.PluginError if a pack is broken."""
    core = tomllib.loads(Path(__file__).with_name("schema.toml").read_text("utf-8"))
    meters = core["meter"]["attributes"]["kind"]["values"]
    meters += [name for name in manifests("meter") if name not in meters]
    blocks = {
        kind: BlockInfo(
            doc=block["doc"],
            attributes={k: from_plain(Attribute, a) for k, a in block["attributes"].items()},
            reserved=block.get("reserved", ""),
        )
        for kind, block in core.items()
    }
    bits = tomllib.loads(Path(__file__).with_name("quants.toml").read_text("utf-8"))
    return Schema(blocks, manifests("target"), manifests("engine"), metrics(), {k: float(v) for k, v in bits.items()})
