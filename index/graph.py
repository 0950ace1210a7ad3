"""A graph in the form that it is walked in: the links of the bottom layer as one matrix, the few others in lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.graph_file import IntArray, LinkLists
from index.protocols import RowArray
from index.simd import aligned_zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Links between rows.

    Attributes:
        links: [n, 2 m] int32, rows linked in the bottom layer; -1 ends those of a row early.
        upper_rows: [u] int32, ascending: the rows that are in more layers.
        upper_starts: [u + 1] int64, where the links of each of them begin.
        upper_links: int32, rows: of layer 1, then 2 and so on, m each; -1 ends those of a layer early.
        entry: Row where a walk begins; -1 without rows.
        top: The highest layer, from 0.
    """

    links: IntArray
    upper_rows: IntArray
    upper_starts: RowArray
    upper_links: IntArray
    entry: int
    top: int

    @classmethod
    def of(cls, lists: LinkLists) -> Graph:
        """Returns the same graph in this form; every link must lead to a row of its layer."""
        offsets, width = lists.offsets, 2 * lists.m
        links = aligned_zeros(lists.layers.size, 4 * width).view(np.int32)
        for start in range(0, lists.layers.size, _BLOCK_ROWS):
            places = offsets[start : min(start + _BLOCK_ROWS, lists.layers.size)]
            links[start : start + places.size] = lists.links[places[:, None] + np.arange(width)]
        upper = np.flatnonzero(lists.layers > 1)
        starts = np.zeros(upper.size + 1, dtype=np.int64)
        np.cumsum((lists.layers[upper] - 1) * np.int64(lists.m), out=starts[1:])
        slots = np.repeat(offsets[upper] + width - starts[:-1], np.diff(starts)) + np.arange(starts[-1])
        return cls(
            links=links,
            upper_rows=upper.astype(np.int32),
            upper_starts=starts,
            upper_links=lists.links[slots],
            entry=lists.entry,
            top=max(lists.num_layers() - 1, 0),
        )

    @property
    def m(self) -> int:
        """Links of a row in each layer, twice that in the bottom one."""
        return int(self.links.shape[1]) // 2

    def lists(self, *, dim: int, ef_construction: int) -> LinkLists:
        """Returns what `of` was given."""
        layers = np.ones(self.links.shape[0], dtype=np.int32)
        layers[self.upper_rows] += (np.diff(self.upper_starts) // self.m).astype(np.int32)
        whole = LinkLists(
            dim=dim, m=self.m, ef_construction=ef_construction, layers=layers, links=self.upper_links, entry=self.entry
        )
        offsets = whole.offsets
        links = np.empty(offsets[-1], dtype=np.int32)
        is_bottom = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets)) < 2 * self.m
        links[is_bottom], links[~is_bottom] = self.links.reshape(-1), self.upper_links
        return LinkLists(
            dim=dim, m=self.m, ef_construction=ef_construction, layers=layers, links=links, entry=self.entry
        )

    def resident_bytes(self) -> int:
        """Returns the bytes of all links."""
        return sum(part.nbytes for part in (self.links, self.upper_rows, self.upper_starts, self.upper_links))


_BLOCK_ROWS = 65_536
