"""Micro-benchmarks: what single parts cost and how well they work, side by side with a peer's in one run.

Each module is a program of its own; none trains a model.
"""
