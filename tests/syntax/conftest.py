"""The grammar as it stands is what is tested, not what a cache has of it.

The tables of this process are made here, before any test asks for them; processes that a test starts may use the
cache, whose name holds the grammar.
"""

from __future__ import annotations

import pytest

from mobench_lang.syntax import parser

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("MOBENCH_GRAMMAR_CACHE", "off")
    parser.tables()
