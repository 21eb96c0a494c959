"""Fuzzers that are run by hand: what they find becomes a test."""
