"""The one path by which writes reach the catalogue and the index.

    upsert -> trial embedding (no lock) -> queue -> one commit for everybody waiting -> index follows -> replies

Whoever gets the lock first commits for all that are in the queue; the others find their work done when the lock is
theirs. A request is stored whole or not at all, and the failure of one never fails another.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from recall.errors import DeadlineError, FieldViolation, InvalidRequestError, UnavailableError
from recall.live.catalog import Catalog
from recall.live.follower import Follower, Trial
from recall.live.generation import Embedder, Generation
from recall.live.item_vectors import KnownFeatures, indexed_bags, known_features, usable_rows
from recall.live.records import ItemRecord
from recall.live.writes import DeleteResult, WarningCode, WriteResult, WriteWarning

_MAX_GROUP_ITEMS = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Write:
    """One waiting request. The future holds sequence and number of deleted items."""

    items: Sequence[ItemRecord] = ()
    trials: Mapping[str, Trial] = field(default_factory=dict)
    embedded_by: Embedder
    deleted_ids: Sequence[str] = ()
    done: Future[tuple[int, int]] = field(default_factory=Future)


class Ingest:
    """Takes writes from any thread and holds what is served."""

    def __init__(self, catalog: Catalog, generation: Generation) -> None:
        """Starts with the index as it is; call `follow` to replay what the catalogue has since."""
        self._catalog = catalog
        self._follower = Follower(catalog, generation)
        self._lock = threading.Lock()
        self._queue: deque[_Write] = deque()
        self._advanced = threading.Condition()

    @property
    def generation(self) -> Generation:
        """What is served now; take it once a request."""
        return self._follower.generation

    @property
    def skipped(self) -> Mapping[str, str]:
        """Stored items that are damaged or that the served model cannot embed, with the reason."""
        return self._follower.skipped

    def upsert(self, items: Sequence[ItemRecord], *, validate_only: bool = False) -> WriteResult:
        """Stores items, all or none; durable and visible when it returns.

        Args:
            items: Each id once.
            validate_only: Check and embed, but store nothing.

        Raises:
            InvalidRequestError: An item does not fit the model.
            CatalogError: The items cannot be stored.
        """
        generation = self.generation
        model, sequence = generation.model, generation.index.sequence
        known = _checked(model, items)
        trials = _tried(model, items, known)
        warnings = [w for item, k in zip(items, known, strict=True) for w in _remarks(model, item, k)]
        if not validate_only:
            sequence, _ = self._submit(_Write(items=items, trials=trials, embedded_by=model))
        return WriteResult(sequence=sequence, model_id=model.model_id, warnings=tuple(warnings))

    def delete(self, item_ids: Sequence[str]) -> DeleteResult:
        """Deletes items, all or none; never returned again once this returns.

        Raises:
            CatalogError: The deletion cannot be stored.
        """
        model = self.generation.model
        sequence, num_deleted = self._submit(_Write(deleted_ids=item_ids, embedded_by=model))
        return DeleteResult(sequence=sequence, model_id=model.model_id, num_deleted=num_deleted)

    def follow(self) -> None:
        """Applies what other processes wrote.

        Raises:
            CatalogError: The catalogue cannot be read.
        """
        if self._catalog.last_sequence() > self.generation.index.sequence:
            with self._lock:
                self._catch_up({})

    def switch(self, generation: Generation) -> None:
        """Serves another generation, once it reflects every write that this one does.

        Raises:
            CatalogError: The catalogue cannot be read; the old generation goes on.
        """
        follower = Follower(self._catalog, generation)
        follower.catch_up()  # the long part, beside the writers
        with self._lock:
            follower.catch_up()
            self._follower = follower
            self._announce()

    def wait_for(self, sequence: int, timeout_seconds: float) -> None:
        """Returns once searches reflect the write `sequence`.

        Raises:
            DeadlineError: They do not in time.
        """
        with self._advanced:
            if not self._advanced.wait_for(lambda: self.generation.index.sequence >= sequence, timeout_seconds):
                reached = self.generation.index.sequence
                raise DeadlineError(
                    f"write {sequence} is not visible after {timeout_seconds:g} s, the last visible one is {reached}; "
                    "allow more time, or check that this server follows the catalogue that acknowledged the write"
                )

    def _submit(self, write: _Write) -> tuple[int, int]:
        self._queue.append(write)
        with self._lock:
            while not write.done.done():
                group = self._next_group()
                try:
                    self._write_group(group)
                finally:
                    _release(group)
        return write.done.result()

    def _next_group(self) -> list[_Write]:
        group = [self._queue.popleft()]
        num_items = len(group[0].items)
        while group[0].items and self._queue and self._queue[0].items and num_items < _MAX_GROUP_ITEMS:
            group.append(self._queue.popleft())
            num_items += len(group[-1].items)
        return group

    def _write_group(self, group: Sequence[_Write]) -> None:
        try:
            result, trials = self._commit([self._retried(write) for write in group])
        except Exception as error:  # goes to those who wait for it
            if len(group) == 1:
                group[0].done.set_exception(error)
            else:  # find out whose it is
                for write in group:
                    self._write_group([write])
            return
        self._publish(group, result, trials)

    def _publish(self, group: Sequence[_Write], result: tuple[int, int], trials: Mapping[str, Trial]) -> None:
        try:
            self._catch_up(trials)
        except Exception as error:  # goes to those who wait for it
            for write in group:
                write.done.set_exception(error)
        else:
            for write in group:
                write.done.set_result(result)

    def _retried(self, write: _Write) -> _Write:
        """Checks and embeds again where the model was switched since."""
        model = self.generation.model
        if write.embedded_by is model:
            return write
        trials = _tried(model, write.items, _checked(model, write.items))
        return _Write(items=write.items, trials=trials, embedded_by=model, deleted_ids=write.deleted_ids)

    def _commit(self, group: Sequence[_Write]) -> tuple[tuple[int, int], dict[str, Trial]]:
        if group[0].deleted_ids:
            return self._catalog.delete_items(group[0].deleted_ids), {}
        items = {item.item_id: item for write in group for item in write.items}  # the last of equal ids stays
        trials = {item_id: trial for write in group for item_id, trial in write.trials.items()}
        return (self._catalog.put_items(list(items.values())), 0), trials

    def _catch_up(self, trials: Mapping[str, Trial]) -> None:
        self._follower.catch_up(trials)
        self._announce()

    def _announce(self) -> None:
        with self._advanced:
            self._advanced.notify_all()


def _release(group: Sequence[_Write]) -> None:
    for write in group:
        if not write.done.done():  # an interrupt of the thread that wrote for them
            write.done.set_exception(UnavailableError("the writing thread was interrupted; send the write again"))


def _checked(model: Embedder, items: Sequence[ItemRecord]) -> list[KnownFeatures]:
    known = [known_features(model.schema.item_features, item.features) for item in items]
    violations = [
        FieldViolation(field=f"items[{position}].features.{name}", description=problem)
        for position, features in enumerate(known)
        for name, problem in features.problems.items()
    ]
    if violations:
        raise InvalidRequestError(violations)
    return known


def _tried(model: Embedder, items: Sequence[ItemRecord], known: Sequence[KnownFeatures]) -> dict[str, Trial]:
    if not items:
        return {}
    encoded = model.encode_items([item.item_id for item in items], [k.features for k in known])
    unusable = np.flatnonzero(~usable_rows(encoded.vectors))
    if len(unusable):
        text = "the served model makes no usable vector of its features; look for extreme numbers"
        raise InvalidRequestError([FieldViolation(field=f"items[{p}].features", description=text) for p in unusable])
    bags = indexed_bags(encoded)
    return {
        item.item_id: Trial(
            features=item.features,
            vector=encoded.vectors[row],
            bag=None if bags is None else bags.take(np.array([row])),
        )
        for row, item in enumerate(items)
    }


def _remarks(model: Embedder, item: ItemRecord, known: KnownFeatures) -> list[WriteWarning]:
    unknown = sorted(item.features.keys() - {spec.name for spec in model.schema.item_features})
    remarks = [
        WriteWarning(
            item_id=item.item_id,
            code=WarningCode.UNKNOWN_FEATURE,
            message=f"feature {name!r} is not known to the served model; it is stored for the next one",
        )
        for name in unknown
    ]
    if not known.features:
        message = "no feature of the item is known to the served model; its vector says nothing about it"
        remarks.append(WriteWarning(item_id=item.item_id, code=WarningCode.LOW_INFORMATION, message=message))
    return remarks
