"""The metrics of a pass that a tool of others timed itself.

In: one `timed` event: so many tokens in so many ns. Out: one `MetricValue` per metric. Guarantee: the rate of what was
timed, and of nothing else. The tool says how long a pass took, not when it was: so no sample can be said to lie in it
(`window_unknown`), and what it does not tell is `not_delivered`.
"""

from __future__ import annotations

from collections.abc import Iterable

from mobench_lang.collect.metrics import NOT_APPLICABLE, NOT_DELIVERED
from mobench_lang.collect.records import MetricValue
from mobench_lang.metrics import metrics
from mobench_lang.protocol import Timed

WINDOW_UNKNOWN = "window_unknown"
_RATES = {"prefill_rate": "prefill", "decode_rate": "decode"}
_SAMPLED = ("sampled", "counter", "derived")


def timed_metrics(timed: Timed, tool: str, wanted: Iterable[str]) -> tuple[MetricValue, ...]:
    """The wanted metrics and the two rates."""
    known = metrics()
    found = []
    for name in dict.fromkeys([*_RATES, *(n for n in wanted if n in known)]):
        info = known[name]
        if name not in _RATES:
            reason = WINDOW_UNKNOWN if info.kind in _SAMPLED else NOT_DELIVERED
            found.append(MetricValue(name, None, info.unit, reason=reason))
        elif _RATES[name] != timed.name:
            found.append(MetricValue(name, None, info.unit, reason=NOT_APPLICABLE))
        else:
            found.append(MetricValue(name, timed.tokens * 1e9 / timed.ns, info.unit, f"{tool}'s own clock"))
    return tuple(found)
