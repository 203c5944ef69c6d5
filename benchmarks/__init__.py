"""Ours beside its peers in speed and memory: ``python -m benchmarks --help``."""
