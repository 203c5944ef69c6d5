"""Exact searches for the nearest training image of a class: NumPy in blocks, and FAISS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.case import Run, Task

CANDIDATES = 60_000


class Search:
    """Queries (n, h, w, c) with the class of each, and candidates with theirs.

    With ``task.steps`` 1 all are of one class, so that each query is compared with every candidate.
    """

    def __init__(self, task: Task):
        images, labels = networks.mnist(task.data, task.seed)
        rng = np.random.default_rng(task.seed)
        self.candidates, self.labels = images[:CANDIDATES], labels[:CANDIDATES]
        noise = rng.normal(0, 0.1, (task.count, *images.shape[1:])).astype(np.float32)
        rows = rng.integers(len(images), size=task.count)
        self.queries = np.clip(images[rows] + noise, 0, 1)  # not among the candidates
        self.target = (labels[rows] + rng.integers(1, 10, task.count)) % 10
        if task.steps == 1:
            self.labels, self.target = np.zeros_like(self.labels), np.zeros_like(self.target)

    def classes(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of the queries that ask for a class, and of its candidates."""
        for label in np.unique(self.target):
            yield np.flatnonzero(self.target == label), np.flatnonzero(self.labels == label)

    def distances(self, found: np.ndarray) -> np.ndarray:
        """(n, 1), how far the candidates found are: two as near as each other are equally right."""
        difference = self.queries.astype(np.float64) - self.candidates[found]
        return np.sqrt((difference**2).sum((1, 2, 3)))[:, None]


def ours(task: Task) -> Run:
    """``gx.baselines.nearest``."""
    import tf_ganmex as gx

    search = Search(task)
    nearest = gx.baselines.nearest(search.candidates, search.labels)
    return lambda: nearest.indices(search.queries, search.target)


def blocks(task: Task, *, queries: int) -> Run:
    """NumPy: squared distances by a product, a block of queries at a time."""
    search = Search(task)
    flat = search.queries.reshape(task.count, -1)
    parts = [(rows, mine, search.candidates[mine].reshape(len(mine), -1)) for rows, mine in search.classes()]

    def run() -> np.ndarray:
        found = np.empty(task.count, np.int64)
        for rows, mine, candidates in parts:
            norms = (candidates**2).sum(1)
            for start in range(0, len(rows), queries):
                part = rows[start : start + queries]
                found[part] = mine[(norms - 2 * flat[part] @ candidates.T).argmin(1)]
        return found

    return run


def faiss(task: Task, *, threads: int) -> Run:
    """FAISS's IndexFlatL2, one for each class, filled before the time is taken."""
    import faiss as library

    library.omp_set_num_threads(threads)
    search = Search(task)
    flat = search.queries.reshape(task.count, -1)
    indices: list[tuple[np.ndarray, np.ndarray, Any]] = []
    for rows, mine in search.classes():
        index = library.IndexFlatL2(flat.shape[1])
        index.add(search.candidates[mine].reshape(len(mine), -1))
        indices.append((rows, mine, index))

    def run() -> np.ndarray:
        found = np.empty(task.count, np.int64)
        for rows, mine, index in indices:
            found[rows] = mine[index.search(flat[rows], 1)[1][:, 0]]
        return found

    return run


def distance_agreement(task: Task) -> Callable[[np.ndarray, np.ndarray], float]:
    """The largest difference of distances to what was found, as a share of the distance."""
    search = Search(task)

    def compare(found: np.ndarray, reference: np.ndarray) -> float:
        a, b = search.distances(found), search.distances(reference)
        return float((np.abs(a - b) / b).max())

    return compare
