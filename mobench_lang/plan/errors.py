"""Why a plan cannot become files or jobs; the text says what to do."""

from __future__ import annotations


class JobError(Exception):
    """The plan asks for a job that cannot be; the spec must be compiled again."""


class RenderError(Exception):
    """A template of a pack is wrong: a mistake of the pack, not of the spec."""
