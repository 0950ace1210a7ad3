"""Baselines that every model is shown beside: content kNN, popularity and random."""
