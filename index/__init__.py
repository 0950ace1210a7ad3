"""Vector and row indexes: exact, FAISS, LSH and the live index over them."""
