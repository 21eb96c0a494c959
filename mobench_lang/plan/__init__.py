"""The plan: from a checked bench to a build folder that can be reviewed, archived and executed.

In: `ir.Bench`. Out: `plan.json`, `cells.jsonl`, `origins.json`, `places.json`. Guarantee: the same bench gives the same
bytes anywhere.
"""
