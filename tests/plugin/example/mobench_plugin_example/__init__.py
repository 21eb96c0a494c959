"""A foreign distribution with one mobench target and one engine."""
