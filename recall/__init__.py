"""Two-tower candidate retrieval with Deep Hash Embeddings, live index and gRPC serving."""
