"""Scripts of libraries that need an environment of their own: run as programs, never imported by the benchmarks.

They may import the standard library, numpy, the one library that they are for, and `link`, which lies beside them.
"""
