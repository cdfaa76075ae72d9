"""Micro-benchmarks: cost and quality of single components, compared with a peer in the same run.

Each module is a separate program; none trains a model.
"""
