"""NVIDIA Jetson boards over SSH: a Linux board with power modes, locked clocks, a fan, and rails that tell its power.

In: a `device` with `target = jetson` and a `host`. Out: a session. What it is and can is in `manifest.toml`; how it was
found out and what no hardware has confirmed is in docs/targets/jetson.md.
"""

from mobench_targets.jetson.target import JetsonTarget

target = JetsonTarget()
