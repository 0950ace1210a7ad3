"""The one path by which writes reach the catalogue and the index.

    write -> trial embedding (no lock) -> queue -> one commit for everybody waiting -> index follows -> replies

Whoever comes while nobody leads, leads: commits for all that are in the queue, and hands over to the first of those
that came meanwhile. The others wait for their own reply alone, so that they are back with the next write, and in the
next group, at once. A request is stored whole or not at all, and the failure of one never fails another. A request
whose id is stored writes nothing and gets the first reply.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from recall.errors import CatalogBusyError, DeadlineError, UnavailableError
from recall.live.catalog import Catalog
from recall.live.catalog_writes import (
    AddInteractions,
    CatalogWrite,
    Change,
    DeleteItems,
    DeleteUsers,
    PutItems,
    PutUsers,
    UpdateItems,
    merged_items,
    put_items,
)
from recall.live.follower import Follower
from recall.live.generation import Embedder, Generation
from recall.live.records import InteractionRecord, ItemRecord, StoredItem, UserRecord
from recall.live.trials import Trial, check_users, tried_items, user_remarks
from recall.live.update_mask import UpdateMask
from recall.live.writes import DeleteResult, RecordResult, RequestKey, WriteResult, Written

_MAX_GROUP_SIZE = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Write:
    """One waiting request.

    Attributes:
        write: What to commit.
        items: The items as they will be stored, unless another write comes between.
        trials: Their embeddings.
        embedded_by: Made them.
        done: What was written.
        called: Set once it is done, or is to lead.
    """

    write: CatalogWrite
    items: Sequence[ItemRecord] = ()
    trials: Mapping[str, Trial] = field(default_factory=dict)
    embedded_by: Embedder
    done: Future[Written] = field(default_factory=Future)
    called: threading.Event = field(default_factory=threading.Event)


class Ingest:
    """Takes writes from any thread and holds what is served.

    Every write can raise `CatalogError` where it cannot be stored, and `InvalidRequestError` where its request id named
    another request before.
    """

    def __init__(self, catalog: Catalog, generation: Generation) -> None:
        """Starts with the index as it is; call `follow` to replay what the catalogue has since."""
        self._catalog = catalog
        self._follower = Follower(catalog, generation)
        self._lock = threading.Lock()
        self._queue: deque[_Write] = deque()
        self._queue_lock = threading.Lock()
        self._is_led = False
        self._advanced = threading.Condition()

    @property
    def generation(self) -> Generation:
        """What is served now; take it once a request."""
        return self._follower.generation

    @property
    def follower(self) -> Follower:
        """What is served now with what it skipped, as one value."""
        return self._follower

    def upsert(
        self,
        items: Sequence[ItemRecord],
        *,
        mask: UpdateMask | None = None,
        request: RequestKey | None = None,
        validate_only: bool = False,
    ) -> WriteResult:
        """Stores items, all or none; durable and visible when it returns.

        Args:
            items: Each id once.
            mask: Fields to change of items that are stored; None replaces whole items.
            request: Names the request, so that a repeat is known.
            validate_only: Check and embed, but store nothing.

        Raises:
            InvalidRequestError: An item does not fit the model.
            NotFoundError: An item to be changed is not stored.
        """
        written = None if validate_only else self._repeated(request)
        if written is None:
            model = self.generation.model
            whole = items if mask is None else merged_items(items, self._stored(items), mask)
            trials, remarks = tried_items(model, whole)
            if validate_only:
                sequence = self.generation.index.sequence
                return WriteResult(sequence=sequence, model_id=model.model_id, warnings=remarks)
            change = PutItems(items) if mask is None else UpdateItems(items, mask)
            write = CatalogWrite(change=change, request=request, model_id=model.model_id, warnings=remarks)
            written = self._submit(_Write(write=write, items=whole, trials=trials, embedded_by=model))
        return WriteResult(sequence=written.sequence, model_id=written.model_id, warnings=written.warnings)

    def delete(self, item_ids: Sequence[str], *, request: RequestKey | None = None) -> DeleteResult:
        """Deletes items, all or none; never returned again once this returns."""
        written = self._write(DeleteItems(item_ids), request)
        return DeleteResult(sequence=written.sequence, model_id=written.model_id, num_deleted=written.count)

    def upsert_users(
        self, users: Sequence[UserRecord], *, request: RequestKey | None = None, validate_only: bool = False
    ) -> WriteResult:
        """Stores users, all or none; every recall from now on reflects them.

        Raises:
            InvalidRequestError: A user does not fit the model.
        """
        model = self.generation.model
        remarks = user_remarks(model, users)
        if validate_only:
            check_users(model, users)
            sequence = self.generation.index.sequence
            return WriteResult(sequence=sequence, model_id=model.model_id, warnings=remarks)
        written = self._repeated(request)
        if written is None:
            check_users(model, users)
            written = self._write(PutUsers(users), request)
        return WriteResult(sequence=written.sequence, model_id=written.model_id, warnings=remarks)

    def delete_users(self, user_ids: Sequence[str], *, request: RequestKey | None = None) -> DeleteResult:
        """Erases users with their interactions, all or none."""
        written = self._write(DeleteUsers(user_ids), request)
        return DeleteResult(sequence=written.sequence, model_id=written.model_id, num_deleted=written.count)

    def record(self, interactions: Sequence[InteractionRecord], *, request: RequestKey | None = None) -> RecordResult:
        """Stores events, all or none; every recall from now on reflects them."""
        written = self._write(AddInteractions(interactions), request)
        return RecordResult(sequence=written.sequence, model_id=written.model_id, num_recorded=written.count)

    def follow(self) -> None:
        """Applies what other processes wrote.

        Raises:
            CatalogError: The catalogue cannot be read, or ends before the index.
        """
        if self._catalog.last_sequence() != self.generation.index.sequence:
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

    def _stored(self, items: Sequence[ItemRecord]) -> Mapping[str, StoredItem]:
        return self._catalog.get_items([item.item_id for item in items])

    def _repeated(self, request: RequestKey | None) -> Written | None:
        """Returns what an earlier request of this id wrote, which is visible then, before anything is embedded."""
        written = None if request is None else self._catalog.find_request(request)
        if written is not None and written.sequence > self.generation.index.sequence:
            self.follow()
        return written

    def _write(self, change: Change, request: RequestKey | None) -> Written:
        model = self.generation.model
        write = CatalogWrite(change=change, request=request, model_id=model.model_id)
        return self._submit(_Write(write=write, embedded_by=model))

    def _submit(self, write: _Write) -> Written:
        with self._queue_lock:
            self._queue.append(write)
            leads, self._is_led = not self._is_led, True
        try:
            if not leads:
                write.called.wait()
                leads = not write.done.done()
            if leads:
                self._lead(write)
        finally:
            if leads or not write.done.done():
                self._hand_over(write)
        return write.done.result()

    def _lead(self, write: _Write) -> None:
        """Writes for all that wait, until `write` is done too."""
        with self._lock:
            while not write.done.done():
                group = self._next_group()
                try:
                    self._write_group(group)
                finally:
                    _release(group)

    def _hand_over(self, write: _Write) -> None:
        """Lets the first that waits lead, where nobody else does."""
        with self._queue_lock:
            if write in self._queue:  # its thread was interrupted
                self._queue.remove(write)
            self._is_led = bool(self._queue)
            if self._queue:
                self._queue[0].called.set()

    def _next_group(self) -> list[_Write]:
        with self._queue_lock:
            group = [self._queue.popleft()]
            size = group[0].write.change.size
            while self._queue and size < _MAX_GROUP_SIZE:
                group.append(self._queue.popleft())
                size += group[-1].write.change.size
            return group

    def _write_group(self, group: Sequence[_Write]) -> None:
        try:
            retried = [self._retried(write) for write in group]
            written = self._catalog.write([write.write for write in retried])
        except CatalogBusyError as error:  # of no single write: one by one they would wait for that lock in turn
            _fail(group, error)
            return
        except Exception as error:  # goes to those who wait for it
            if len(group) == 1:
                _fail(group, error)
            else:  # find out whose it is
                for write in group:
                    self._write_group([write])
            return
        self._publish(group, written, {i: trial for write in retried for i, trial in write.trials.items()})

    def _publish(self, group: Sequence[_Write], written: Sequence[Written], trials: Mapping[str, Trial]) -> None:
        pairs = zip(group, written, strict=True)
        known = {number: item for write, done in pairs for number, item in put_items(write.write, done).items()}
        try:
            self._catch_up(trials, known)
        except Exception as error:  # goes to those who wait for it
            _fail(group, error)
        else:
            for write, result in zip(group, written, strict=True):
                write.done.set_result(result)

    def _retried(self, write: _Write) -> _Write:
        """Checks and embeds again where the model was switched since."""
        model = self.generation.model
        if write.embedded_by is model:
            return write
        trials, remarks = tried_items(model, write.items)
        renewed = replace(write.write, model_id=model.model_id, warnings=remarks)
        return _Write(write=renewed, items=write.items, trials=trials, embedded_by=model)

    def _catch_up(self, trials: Mapping[str, Trial], known: Mapping[int, ItemRecord] | None = None) -> None:
        self._follower.catch_up(trials, known)
        self._announce()

    def _announce(self) -> None:
        with self._advanced:
            self._advanced.notify_all()


def _fail(group: Sequence[_Write], error: Exception) -> None:
    for write in group:
        write.done.set_exception(error)


def _release(group: Sequence[_Write]) -> None:
    for write in group:
        if not write.done.done():  # an interrupt of the thread that wrote for them
            write.done.set_exception(UnavailableError("the writing thread was interrupted; send the write again"))
        write.called.set()
