"""Side-by-side benchmarks: gpbt, its ablations and its peers on the same work.

`problem` and `method` say what takes part, `ledger` does all training and counts all of it, `run` executes a grid of
cells and `report` reads what they left behind. Only the ledger calls a problem: what a method spends, it cannot hide.
"""
