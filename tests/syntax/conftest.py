"""No cache of the grammar: what is tested is the grammar as it stands."""

import os

os.environ["MOBENCH_GRAMMAR_CACHE"] = "off"
