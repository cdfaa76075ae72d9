"""The same tasks with gpbt, Optuna and Ray Tune, and how many lines each takes: `python -m benchmarks.lines`.

The models and the data are in `modules` and are not counted; of the programs every line is that is no comment and not
empty, imports too.
"""
