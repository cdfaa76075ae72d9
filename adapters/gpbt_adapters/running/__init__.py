"""How a population is trained: `run` and what it is made of.

Start with `driver`, which defines `run` and `Result`; `loop` is the loop itself (ask, train, tell, delete checkpoints),
`segments` trains one trial, `pools` starts and watches workers, `interrupts` handles Ctrl-C. `ray` runs on a Ray
cluster, and `search_cv` is scikit-learn's view of a run. May import `trainables`, `storing` and `views`.
"""
