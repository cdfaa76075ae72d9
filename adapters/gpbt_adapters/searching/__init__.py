"""Searchers that other libraries implement, offered to gpbt through the same plugin hook as anybody's.

Start with `optuna_plugin`, the entry point. Imports no other room.
"""
