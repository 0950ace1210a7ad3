"""Offline side: split, training, evaluation and baselines."""
