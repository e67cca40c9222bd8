"""Loads that need no target: they strain the host itself, under the same lease and permitted share as requests do."""
