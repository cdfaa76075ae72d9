"""The searcher `tpe`: a tree-structured Parzen estimator, vectorised in numpy.

`layout` says what the dimensions of a space are to kernels, `parzen` makes densities of kernels and compares them,
`searcher` puts them together. No module imports one that comes later.
"""

from gpbt_searchers.tpe.searcher import TPE

__all__ = ["TPE"]
