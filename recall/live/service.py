"""The live system as one object: what the servicer, the command line and tests call."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from recall.errors import CatalogError, NotFoundError, text_for_logs
from recall.live.advisor import Evidence, advice_of
from recall.live.attributes import stored_attributes
from recall.live.audit import RecallAudit
from recall.live.barriers import ItemFacts
from recall.live.batching import Batching
from recall.live.canary import FreshnessCanary
from recall.live.catalog import Catalog
from recall.live.config import ServeConfig
from recall.live.explanation import Explanation
from recall.live.generation import Embedder, Generation, ModelLoader, load_model
from recall.live.ingest import Ingest
from recall.live.lag import Lag
from recall.live.listing import MAX_PAGE_BYTES, ItemPage, PageQuery, page_token
from recall.live.periodic import Periodic
from recall.live.query import RecallQuery, Result, SimilarQuery, joins
from recall.live.records import InteractionRecord, ItemRecord, StoredItem, UserRecord
from recall.live.reserved import CANARY_ID, is_reserved
from recall.live.retriever import Retriever
from recall.live.status import Reports, Status, status_of
from recall.live.tallies import Tally
from recall.live.update_mask import UpdateMask
from recall.live.upkeep import Upkeep
from recall.live.vacuum import Vacuum
from recall.live.vitals import Vitals, snapshot_seconds
from recall.live.warming import load_warm
from recall.live.watcher import FAILURES, FirstSnapshot, LoadSnapshot, SnapshotWatcher, load_first
from recall.live.writes import DeleteResult, RecordResult, RequestKey, WriteResult
from recall.schema import DataSchema

_logger = logging.getLogger(__name__)
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """One stored item and whether it can be found.

    Attributes:
        item: As stored.
        retrievable: Whether a recall can return it.
        model_id: Model that is served.
        sequence: Last write that searches reflect.
    """

    item: StoredItem
    retrievable: bool
    model_id: str
    sequence: int


class RecallSystem:
    """Catalogue, model and index, served and written together. Safe to call from any thread."""

    def __init__(
        self, catalog: Catalog, snapshots: Path, *, load: LoadSnapshot, first: FirstSnapshot, config: ServeConfig
    ) -> None:
        """Replays what the catalogue has since the snapshot and starts to follow both; use `start`."""
        self._catalog = catalog
        self._retriever = Retriever(catalog, fresh_share=config.fresh_share)
        self._ingest = Ingest(catalog, first.generation)
        self._ingest.follow()
        self._watcher = SnapshotWatcher(
            snapshots, load, ingest=self._ingest, first=first, retry_seconds=config.switch_retry_seconds
        )
        self._config, self._snapshots = config, snapshots
        self._tally = Tally()
        self._canary = FreshnessCanary(self._ingest)
        if config.canary_interval_seconds:
            self._canary.start(config.canary_interval_seconds)
        self._upkeep = Upkeep(lambda: self.generation.index, config)
        self._upkeep.start()
        self._vacuum = Vacuum(catalog, config=config)
        self._audit = RecallAudit(lambda: self.generation, config)
        self._audit.start()
        self._joined = Batching(self._answered, most=config.batch)
        self._lag = Lag()
        self._follow_error = ""
        self._following = Periodic(
            self._follow, interval_seconds=config.follow_interval_seconds, name="recall-follow-catalog"
        )
        self._watching = Periodic(
            self._watcher.look, interval_seconds=config.watch_interval_seconds, name="recall-watch-snapshots"
        )

    @classmethod
    def start(
        cls, snapshots: Path, catalog: Path, config: ServeConfig | None = None, *, load_model: ModelLoader = load_model
    ) -> RecallSystem:
        """Opens the catalogue, loads the current snapshot and replays the writes since.

        Args:
            snapshots: Folder of snapshots with the file `CURRENT`.
            catalog: The catalogue file that the snapshots were made from.
            config: None means the defaults.
            load_model: How a model is loaded from the snapshot.

        Raises:
            NotReadyError: There is no snapshot that can be served.
            SnapshotMismatchError: The current snapshot belongs to another catalogue.
            CatalogError: The catalogue cannot be used.
        """
        config = config or ServeConfig()
        opened = Catalog.open(catalog)

        def load_with_audiences(folder: Path) -> Embedder:
            return load_model(folder).with_audiences(opened.audiences)

        def load(folder: Path) -> Generation:
            return load_warm(
                folder, lineage=opened.lineage, fresh_share=config.fresh_share, load_model=load_with_audiences
            )

        try:
            first = load_first(snapshots, load)
            return cls(opened, snapshots, load=load, first=first, config=config)
        except BaseException:
            opened.close()
            raise

    @property
    def generation(self) -> Generation:
        """What is served at this moment."""
        return self._ingest.generation

    @property
    def schema(self) -> DataSchema:
        """Columns of the catalogue, which requests are checked against."""
        return self._catalog.schema

    @property
    def dim(self) -> int:
        """Length of a vector of the served model."""
        return self.generation.model.dim

    def recall(self, query: RecallQuery) -> Result:
        """Returns the best items for a user, in one go with what is asked meanwhile; see `Retriever.recall`."""
        generation = self.generation
        self._retriever.check(generation, [query])  # before it has neighbours
        result = self._joined.ask(query) if joins(query) else self._answered([query])[0]
        self._tally.note_results([result])
        return self._with_stored_attributes(query, result)

    def recall_batch(self, queries: Sequence[RecallQuery]) -> list[Result]:
        """Returns one answer a query, all of one moment; see `Retriever.recall`."""
        results = self._audit.answered(self._retriever, self.generation, queries, path="requests[{}].")
        self._tally.note_results(results)
        return list(map(self._with_stored_attributes, queries, results))

    def explain(self, query: RecallQuery, item_id: str) -> Explanation:
        """Returns why an item is or is not in the answer to a recall; see `Retriever.explain`."""
        follower = self._ingest.follower
        facts = partial(self._facts, follower.skipped)
        return self._retriever.explain(follower.generation, query, item_id, facts=facts)

    def similar(self, query: SimilarQuery) -> Result:
        """Returns the neighbours of an item; see `Retriever.similar`."""
        return self._with_stored_attributes(query, self._retriever.similar(self.generation, query))

    def upsert(
        self,
        items: Sequence[ItemRecord],
        *,
        mask: UpdateMask | None = None,
        request: RequestKey | None = None,
        validate_only: bool = False,
    ) -> WriteResult:
        """Stores items, all or none, durable and visible when it returns; see `Ingest.upsert`."""
        result = self._ingest.upsert(items, mask=mask, request=request, validate_only=validate_only)
        if mask is None and not validate_only:
            self._tally.note_items(self.generation.model.schema.item_features, items)
        return result

    def delete(self, item_ids: Sequence[str], *, request: RequestKey | None = None) -> DeleteResult:
        """Deletes items, never returned again once this returns; see `Ingest.delete`."""
        return self._ingest.delete(item_ids, request=request)

    def upsert_users(
        self, users: Sequence[UserRecord], *, request: RequestKey | None = None, validate_only: bool = False
    ) -> WriteResult:
        """Stores users, all or none; the next recall reflects them. See `Ingest.upsert_users`."""
        return self._ingest.upsert_users(users, request=request, validate_only=validate_only)

    def delete_users(self, user_ids: Sequence[str], *, request: RequestKey | None = None) -> DeleteResult:
        """Erases users with their interactions, and has the file cleared of them; see `Ingest.delete_users`."""
        result = self._ingest.delete_users(user_ids, request=request)
        self._vacuum.wake()
        return result

    def record(self, interactions: Sequence[InteractionRecord], *, request: RequestKey | None = None) -> RecordResult:
        """Stores events, all or none; the next recall reflects them. See `Ingest.record`."""
        return self._ingest.record(interactions, request=request)

    def get(self, item_id: str) -> ItemView:
        """Returns what is stored of an item.

        Raises:
            NotFoundError: The item is not stored.
            CatalogError: The catalogue cannot be read.
        """
        generation = self.generation
        sequence = generation.index.sequence
        item = self._catalog.get_item(item_id)
        if item is None or is_reserved(item_id):
            raise NotFoundError(f"item {item_id!r} is not stored; upsert it first")
        return ItemView(
            item=item, retrievable=item_id in generation.index, model_id=generation.model.model_id, sequence=sequence
        )

    def page(self, query: PageQuery) -> ItemPage:
        """Returns one page of the stored items, item id ascending in UTF-8 byte order.

        Raises:
            CatalogError: The catalogue cannot be read.
        """
        generation = self.generation
        sequence = generation.index.sequence
        stored, last = self._catalog.list_items(query.after, limit=query.size, most_bytes=MAX_PAGE_BYTES)
        whole = tuple(item for item in stored if not item.damage)
        return ItemPage(
            items=whole,
            retrievable=tuple(item.item_id in generation.index for item in whole),
            damaged=tuple(item.item_id for item in stored if item.damage),
            next_token=page_token(last) if last else "",
            model_id=generation.model.model_id,
            sequence=sequence,
        )

    def status(self) -> Status:
        """Returns what is served, with its sizes."""
        follower = self._ingest.follower
        generation, audit = follower.generation, self._audit.figures
        evidence = Evidence(
            counts=generation.index.counts(without=(CANARY_ID,)),
            upkeep=self._upkeep.state,
            tuning=generation.tuning,
            audit=audit,
        )
        lag_seconds = self._lag_seconds()
        reports = Reports(
            num_skipped=len(follower.skipped),
            last_switch_error=self._watcher.last_error,
            advice=advice_of(evidence, self._config),
            audit=audit,
            catalog_sequence=self._lag.committed,
            lag_seconds=lag_seconds,
        )
        return status_of(generation, self._catalog, reports)

    def vitals(self) -> Vitals:
        """Returns the status and counts since the start; cheap enough to be asked for every second."""
        status = self.status()
        return Vitals(
            status=status,
            snapshot_seconds=snapshot_seconds(self._snapshots, status.snapshot),
            num_switches=self._watcher.num_switches,
            num_switch_failures=self._watcher.num_failures,
            audit_is_low=self._audit.is_low,
            canary=self._canary.figures if self._config.canary_interval_seconds else None,
            tallies=self._tally.read(),
        )

    def wait_for(self, sequence: int, timeout_seconds: float) -> None:
        """Returns once searches reflect the write `sequence`.

        Raises:
            DeadlineError: They do not in time.
        """
        if self.generation.index.sequence < sequence:
            self._following.wake()
            self._ingest.wait_for(sequence, timeout_seconds)

    def close(self) -> None:
        """Stops following and closes the catalogue; a second call does nothing."""
        self._canary.close(timeout_seconds=_CLOSE_SECONDS)
        self._watching.close(timeout_seconds=_CLOSE_SECONDS)
        self._following.close(timeout_seconds=_CLOSE_SECONDS)
        self._vacuum.close(timeout_seconds=_CLOSE_SECONDS)
        self._upkeep.close(timeout_seconds=_CLOSE_SECONDS)
        self._audit.close(timeout_seconds=_CLOSE_SECONDS)
        self._catalog.close()

    def _answered(self, queries: Sequence[RecallQuery]) -> list[Result]:
        return self._audit.answered(self._retriever, self.generation, queries)

    def _with_stored_attributes(self, query: RecallQuery | SimilarQuery, result: Result) -> Result:
        """Fills in from the catalogue what an index of a snapshot from before there were attributes lacks."""
        if not query.attributes or result.attributes:
            return result
        stored = self._catalog.get_items(result.item_ids)
        return replace(result, attributes=stored_attributes(self.schema, stored, result.item_ids, query.attributes))

    def _lag_seconds(self) -> float:
        try:
            committed = self._catalog.last_sequence()
        except CatalogError:  # what is served can be told all the same
            committed = self._lag.committed
        return self._lag.note(committed=committed, visible=self.generation.index.sequence)

    def _facts(self, skipped: Mapping[str, str], item_id: str) -> ItemFacts:
        problem = skipped.get(item_id, "")
        try:
            stored = self._catalog.get_item(item_id)
        except CatalogError:
            if not problem:
                raise
            stored = None  # damaged, as the problem says
        return ItemFacts(item_id=item_id, stored=stored, problem=problem)

    def _follow(self) -> None:
        try:
            self._lag_seconds()  # a write is late from the first look at it on
            self._ingest.follow()
        except FAILURES as error:
            if str(error) != self._follow_error:
                _logger.error("writes of other processes cannot be followed, trying again: %s", text_for_logs(error))
            self._follow_error = str(error)
        else:
            self._follow_error = ""
