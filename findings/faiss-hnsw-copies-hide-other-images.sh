#!/usr/bin/env bash
# FAISS: copies of one image hide other images from an HNSW index, and a wider search does not bring them back.
#
# Where: faiss.IndexHNSWFlat(64, 32): 1,000 different unit vectors and n copies of one of them, as a crawl with a logo or a
#        placeholder image has. Every other vector is asked for itself.
# Guess: recall@1 stays at 1.0; what is missing at efSearch = 16 is found at 512.
# Seen:  0.52 with 1,000 copies as with 5,000; efSearch = 512 brings 0.60 and 0.53. Without copies 1.0, IndexFlatL2 always 1.0.
#        The links of the graph are spent on copies, so that half of the others cannot be reached.
# Do:    remove equal embeddings before indexing (keep a list of who shares one), or search exactly.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import faiss
import numpy as np

faiss.omp_set_num_threads(1)
draw = np.random.default_rng(0)
images = draw.normal(size=(1000, 64)).astype("float32")
images /= np.linalg.norm(images, axis=1, keepdims=True)
recall = {}
print(f"faiss {faiss.__version__}")
for copies in (0, 1000, 5000):
    stored = np.vstack([images, np.repeat(images[:1], copies, axis=0)])
    for name, width in (("exact", None), ("HNSW", 16), ("HNSW", 512)):
        index = faiss.IndexFlatL2(64) if width is None else faiss.IndexHNSWFlat(64, 32)
        if width is not None:
            index.hnsw.efSearch = width
        index.add(stored)
        _, found = index.search(images[1:], 1)
        recall[copies, width] = float((found[:, 0] == np.arange(1, 1000)).mean())
        print(f"{copies} copies, {name}{'' if width is None else f', efSearch {width}'}: recall@1 {recall[copies, width]:.3f}")
assert all(recall[copies, None] == 1.0 for copies in (0, 1000, 5000))
assert recall[0, 512] == 1.0
assert recall[1000, 512] < 0.95
assert recall[5000, 512] < 0.6
PY
