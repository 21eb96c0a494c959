"""Expectations → SQL → verdicts."""
