"""Engines: each in a package of its own, found by entry point like a foreign one; the core imports none of them."""
