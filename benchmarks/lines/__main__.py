"""Prints how many lines the programs have."""

from benchmarks.lines.counting import table

print(table())
