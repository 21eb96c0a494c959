"""Forward migrations of the schema.

In: nothing. Out: for each version the statements that lead to the next one. They run in one transaction. As the run
folders are the truth, a migration may also drop what a load makes anew.
"""

from __future__ import annotations

from collections.abc import Mapping

# Version 1 is the first; the entry under 1 will lead to 2.
MIGRATIONS: Mapping[int, tuple[str, ...]] = {}
