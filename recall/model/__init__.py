"""Hashing, features, encoders, towers, model artifact and embedding."""
