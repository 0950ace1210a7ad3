"""Catalogue, retriever, ingest, rebuild and the switch between snapshots."""
