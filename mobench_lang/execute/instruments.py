"""Which engine and which instrument each cell of a plan needs, and whether they are there.

In: a plan, the platforms of the opened devices. Out: for an engine value and a platform the engine plug-in, or why it
cannot be used, and the builds that a run pins. Guarantee: a tool of others is asked for its own build, and an engine's
own instruments need not be there for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from mobench_lang import packs, plugins
from mobench_lang.execute.devices import Refusal
from mobench_lang.ir import Entity
from mobench_lang.packs import PluginError
from mobench_lang.plan.cell import with_attribute
from mobench_lang.plan.model import Plan
from mobench_lang.plugins import Engine, PlatformError, StockTool, StockTools


@dataclass(slots=True)
class Instruments:
    """The engines of a plan on some platforms. `builds` are those that are there: `engine@platform`, and
    `engine (tool)@platform` for a tool of others; several builds of one name stand in one line."""

    builds: dict[str, str] = field(default_factory=dict)
    _found: dict[tuple[str, StockTool | None, str], Engine | Refusal] = field(default_factory=dict)

    def get(self, engine: Entity, platform: str) -> Engine | Refusal:
        """The plug-in that runs an engine value on a platform."""
        plugin = _plugin(engine.pack)
        return plugin if isinstance(plugin, Refusal) else self._found[engine.pack, stock(plugin, engine), platform]


def instruments(plan: Plan, platforms: Iterable[str]) -> Instruments:
    """The engines of all engine values of a plan, on these platforms."""
    found = Instruments()
    wanted = dict.fromkeys(_wanted(plan))
    for platform in sorted(set(platforms)):
        builds: dict[str, dict[str, None]] = {}
        for pack, tool in wanted:
            plugin = _plugin(pack)
            if not isinstance(plugin, Refusal):
                try:
                    build = plugin.build(platform) if tool is None else tool.build(platform)
                    name = pack if tool is None else f"{pack} ({tool.name})"
                    builds.setdefault(f"{name}@{platform}", {})[build] = None
                except PlatformError as error:
                    plugin = Refusal("no_engine", str(error))
            found._found[pack, tool, platform] = plugin
        found.builds |= {name: "; ".join(several) for name, several in builds.items()}
    return found


def stock(plugin: Engine, engine: Entity) -> StockTool | None:
    """The tool of others that an engine value asks for."""
    return plugin.stock(engine) if isinstance(plugin, StockTools) else None


def _wanted(plan: Plan) -> Iterator[tuple[str, StockTool | None]]:
    """The pack and the tool of every engine value, with what other axes bind in it."""
    binding = [axis for axis in plan.axes if axis.binds.startswith("engine.")]
    for axis in plan.axes:
        for value in axis.values if axis.name == "engine" else ():
            if not isinstance(value, Entity):
                continue
            plugin = _plugin(value.pack)
            if isinstance(plugin, Refusal) or not isinstance(plugin, StockTools):
                yield value.pack, None
                continue
            for bound in product(*(b.values for b in binding)):
                engine = value
                for other, setting in zip(binding, bound, strict=True):
                    engine = with_attribute(engine, other.binds.partition(".")[2], setting)
                yield value.pack, plugin.stock(engine)


def _plugin(pack: str) -> Engine | Refusal:
    if pack not in packs.manifests("engine"):
        return Refusal("no_engine", f"no pack for the engine {pack!r} is installed")
    try:
        return plugins.engine(pack)
    except PluginError as error:
        return Refusal("no_engine", str(error))
