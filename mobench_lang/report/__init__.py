"""Diagnostics as text for people, JSON, SARIF and GitHub annotations; and their fixes applied to texts."""
