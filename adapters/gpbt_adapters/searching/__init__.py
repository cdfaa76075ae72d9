"""Spaces and searchers of other libraries.

`spaces` reads their spaces. `optuna_plugin`, an entry point, offers Optuna's samplers as any plugin offers its
searchers; `optuna` implements them. Imports no other package of gpbt_adapters.
"""
