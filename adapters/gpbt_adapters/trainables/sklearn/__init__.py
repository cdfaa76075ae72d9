"""scikit-learn estimators that train step by step, as trainables.

Start with `trainables`; `continuation` is the table of how each estimator continues training, `models` wraps one
estimator, and `folds` trains one copy of it per cross-validation fold for `GPBTSearchCV`.
"""
