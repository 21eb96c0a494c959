"""mobench: a declarative benchmark language and compiler for language models on devices."""

__version__ = "0.1.0"
