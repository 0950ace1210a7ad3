"""Inserts ready vectors into milvus-lite, as many as each line of stdin says, and writes the seconds of each call.

    python scripts/milvus_inserts.py vectors.db 64

Runs in a Python with pymilvus and milvus-lite, and needs nothing of ours.
"""

import json
import sys
import time

import numpy as np
from pymilvus import MilvusClient  # type: ignore[import-not-found]  # of another Python


def main() -> None:
    """Makes a collection with the settings that milvus calls quick, then inserts."""
    file, dim = sys.argv[1], int(sys.argv[2])
    client = MilvusClient(file)
    client.create_collection("items", dimension=dim, id_type="string", max_length=64, metric_type="IP")
    generator, first = np.random.default_rng(0), 0
    print(json.dumps({"seconds": 0.0}), flush=True)
    for line in sys.stdin:
        vectors = generator.standard_normal((int(line), dim), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [{"id": f"item-{first + row:08}", "vector": vector} for row, vector in enumerate(vectors)]
        first += len(rows)
        start = time.perf_counter()
        client.insert("items", rows)
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
