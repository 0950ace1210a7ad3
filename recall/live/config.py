"""Settings of rebuilding and of live serving. Read strictly: an unknown key is an error, a missing one its default."""

from __future__ import annotations

from dataclasses import fields

from pydantic import BaseModel, ConfigDict, Field, field_validator

from index.factory import IndexConfig


class RebuildConfig(BaseModel):
    """How a snapshot is built.

    Attributes:
        index: Kind and parameters of the base index.
        keep_snapshots: Newest snapshots kept after a rebuild; the one served before is kept besides.
        batch_size: Items embedded at a time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: IndexConfig = IndexConfig()
    keep_snapshots: int = Field(default=3, ge=1)
    batch_size: int = Field(default=4096, ge=1)

    @field_validator("index", mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, value: object) -> object:
        """Pydantic would ignore them in a plain dataclass."""
        known = [field.name for field in fields(IndexConfig)]
        unknown = sorted(set(value) - set(known)) if isinstance(value, dict) else []
        if unknown:
            raise ValueError(f"unknown keys {unknown}; known are {known}")
        return value


class ServeConfig(BaseModel):
    """How a serving process answers, and follows its catalogue and its snapshots.

    Attributes:
        batch: Most recalls that are answered in one go; those come together that wait at the same time, and none waits
            for others to come. 1 answers each by itself. See `recall.live.batching`.
        follow_interval_seconds: Time between two looks for writes of other processes.
        watch_interval_seconds: Time between two looks at which snapshot is current.
        switch_retry_seconds: Time until a current snapshot that could not be loaded is tried again.
        request_id_seconds: How long the request ids of writes are kept, at least.
        vacuum_interval_seconds: Time between two clearings of the catalogue's file, of request ids that are over and of
            what was removed since. The erasure of a user starts one at once.
        tombstone_seconds: How long it is kept that an item was deleted, up to 1/32 longer; a snapshot that reflects
            less than the last removed one is refused. See `recall.live.retention`.
        interaction_seconds: How long interactions are kept that have a time, from that time on; 0 keeps all for ever.
        erasure_seconds: Longest time until the file is written anew after an erasure, so that no gap of it holds a
            copy; writers wait while it is. `recall vacuum` does so at any time.
        fresh_share: Least share of each recall's results that are items which the served model has never seen in
            training, as far as there are any; see `recall.live.exploration`. 0 leaves results as they score.
        merge: Whether items written since the base was built are merged into a new base in memory, in the background;
            see `recall.live.upkeep`.
        merge_fresh_share: Share of fresh items among all above which that is done.
        merge_deleted_share: Share of deleted and replaced rows of the base above which that is done.
        merge_least_rows: Fresh items and deleted rows below which it never is.
        merge_time_share: Share of the time that merges may take, one after the other.
        hash_fresh_rows: Fresh items from which they are searched by hashes instead of a scan; 0 never does so. With
            100,000 items of 64 dimensions hashes are half as fast as a scan, with 150,000 as fast, with 200,000 six
            times (`scripts/benchmark_fresh.py`).
        upkeep_interval_seconds: Time between two looks at whether the index is to be merged or hashed.
        audit_share: Share of recalls that are answered exactly too, in the background, to measure how many of the exact
            results they returned; see `recall.live.audit`. 0 audits nothing.
        audit_time_share: Share of one core that this may take; recalls beyond it are not audited.
        audit_window: Recalls audited last that the figures are of.
        audit_floor: Audited recall below which the server warns and says so in its metrics: once the whole 95% interval
            over at least 30 recalls lies below it. 0 never warns.
        canary_interval_seconds: Time between two probes of the freshness canary, each one write of a reserved item that
            nobody sees; see `recall.live.canary`. 0, the default, writes nothing.
        rebuild_share: Share of items written or deleted since the snapshot above which a rebuild is advised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(default=64, ge=1, le=512)
    follow_interval_seconds: float = Field(default=0.2, gt=0)
    watch_interval_seconds: float = Field(default=0.5, gt=0)
    switch_retry_seconds: float = Field(default=60.0, gt=0)
    request_id_seconds: float = Field(default=86_400.0, ge=60, le=30 * 86_400)
    vacuum_interval_seconds: float = Field(default=60.0, gt=0)
    tombstone_seconds: float = Field(default=30 * 86_400.0, ge=3_600)
    interaction_seconds: float = Field(default=0.0, ge=0)
    erasure_seconds: float = Field(default=86_400.0, ge=0)
    fresh_share: float = Field(default=0.0, ge=0, lt=1)
    merge: bool = True
    merge_fresh_share: float = Field(default=0.05, gt=0, le=1)
    merge_deleted_share: float = Field(default=0.2, gt=0, le=1)
    merge_least_rows: int = Field(default=2_000, ge=1)
    merge_time_share: float = Field(default=0.25, gt=0, le=1)
    hash_fresh_rows: int = Field(default=150_000, ge=0)
    upkeep_interval_seconds: float = Field(default=1.0, gt=0)
    audit_share: float = Field(default=0.01, ge=0, le=1)
    audit_time_share: float = Field(default=0.05, gt=0, le=1)
    audit_window: int = Field(default=1_000, ge=1, le=100_000)
    audit_floor: float = Field(default=0.9, ge=0, le=1)
    canary_interval_seconds: float = Field(default=0.0, ge=0, le=86_400)
    rebuild_share: float = Field(default=0.3, gt=0)
