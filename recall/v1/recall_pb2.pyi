from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CHANNEL_SERVED: _ClassVar[Channel]
    CHANNEL_EXACT: _ClassVar[Channel]
    CHANNEL_CONTENT: _ClassVar[Channel]
    CHANNEL_POPULARITY: _ClassVar[Channel]

class AnsweredFrom(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWERED_FROM_UNSPECIFIED: _ClassVar[AnsweredFrom]
    ANSWERED_FROM_VECTOR: _ClassVar[AnsweredFrom]
    ANSWERED_FROM_HISTORY: _ClassVar[AnsweredFrom]
    ANSWERED_FROM_FEATURES: _ClassVar[AnsweredFrom]
    ANSWERED_FROM_POPULARITY: _ClassVar[AnsweredFrom]

class MissingReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MISSING_REASON_UNSPECIFIED: _ClassVar[MissingReason]
    MISSING_REASON_NOT_STORED: _ClassVar[MissingReason]
    MISSING_REASON_NOT_EMBEDDED: _ClassVar[MissingReason]
    MISSING_REASON_NOT_AVAILABLE: _ClassVar[MissingReason]
    MISSING_REASON_NOT_A_CANDIDATE: _ClassVar[MissingReason]
    MISSING_REASON_EXCLUDED: _ClassVar[MissingReason]
    MISSING_REASON_IN_HISTORY: _ClassVar[MissingReason]
    MISSING_REASON_FILTERED: _ClassVar[MissingReason]
    MISSING_REASON_BELOW_LIMIT: _ClassVar[MissingReason]
    MISSING_REASON_MISSED_BY_INDEX: _ClassVar[MissingReason]

class IndexPart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_PART_UNSPECIFIED: _ClassVar[IndexPart]
    INDEX_PART_BASE: _ClassVar[IndexPart]
    INDEX_PART_FRESH: _ClassVar[IndexPart]

class SimilarBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIMILAR_BY_UNSPECIFIED: _ClassVar[SimilarBy]
    SIMILAR_BY_VECTOR: _ClassVar[SimilarBy]
    SIMILAR_BY_TWINS: _ClassVar[SimilarBy]
CHANNEL_UNSPECIFIED: Channel
CHANNEL_SERVED: Channel
CHANNEL_EXACT: Channel
CHANNEL_CONTENT: Channel
CHANNEL_POPULARITY: Channel
ANSWERED_FROM_UNSPECIFIED: AnsweredFrom
ANSWERED_FROM_VECTOR: AnsweredFrom
ANSWERED_FROM_HISTORY: AnsweredFrom
ANSWERED_FROM_FEATURES: AnsweredFrom
ANSWERED_FROM_POPULARITY: AnsweredFrom
MISSING_REASON_UNSPECIFIED: MissingReason
MISSING_REASON_NOT_STORED: MissingReason
MISSING_REASON_NOT_EMBEDDED: MissingReason
MISSING_REASON_NOT_AVAILABLE: MissingReason
MISSING_REASON_NOT_A_CANDIDATE: MissingReason
MISSING_REASON_EXCLUDED: MissingReason
MISSING_REASON_IN_HISTORY: MissingReason
MISSING_REASON_FILTERED: MissingReason
MISSING_REASON_BELOW_LIMIT: MissingReason
MISSING_REASON_MISSED_BY_INDEX: MissingReason
INDEX_PART_UNSPECIFIED: IndexPart
INDEX_PART_BASE: IndexPart
INDEX_PART_FRESH: IndexPart
SIMILAR_BY_UNSPECIFIED: SimilarBy
SIMILAR_BY_VECTOR: SimilarBy
SIMILAR_BY_TWINS: SimilarBy

class FeatureValue(_message.Message):
    __slots__ = ("string_value", "number_value", "string_list", "float_list")
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_LIST_FIELD_NUMBER: _ClassVar[int]
    FLOAT_LIST_FIELD_NUMBER: _ClassVar[int]
    string_value: str
    number_value: float
    string_list: StringList
    float_list: FloatList
    def __init__(self, string_value: _Optional[str] = ..., number_value: _Optional[float] = ..., string_list: _Optional[_Union[StringList, _Mapping]] = ..., float_list: _Optional[_Union[FloatList, _Mapping]] = ...) -> None: ...

class StringList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class FloatList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("item_id", "features", "attributes", "available_from", "available_until")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FeatureValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FeatureValue, _Mapping]] = ...) -> None: ...
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FeatureValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FeatureValue, _Mapping]] = ...) -> None: ...
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FROM_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    features: _containers.MessageMap[str, FeatureValue]
    attributes: _containers.MessageMap[str, FeatureValue]
    available_from: int
    available_until: int
    def __init__(self, item_id: _Optional[str] = ..., features: _Optional[_Mapping[str, FeatureValue]] = ..., attributes: _Optional[_Mapping[str, FeatureValue]] = ..., available_from: _Optional[int] = ..., available_until: _Optional[int] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("user_id", "features")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FeatureValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FeatureValue, _Mapping]] = ...) -> None: ...
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    features: _containers.MessageMap[str, FeatureValue]
    def __init__(self, user_id: _Optional[str] = ..., features: _Optional[_Mapping[str, FeatureValue]] = ...) -> None: ...

class Interaction(_message.Message):
    __slots__ = ("user_id", "item_id", "timestamp")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    item_id: str
    timestamp: int
    def __init__(self, user_id: _Optional[str] = ..., item_id: _Optional[str] = ..., timestamp: _Optional[int] = ...) -> None: ...

class RecallRequest(_message.Message):
    __slots__ = ("user_id", "features", "history", "vector", "limit", "candidate_item_ids", "exclude_item_ids", "exclude_history", "exact", "min_sequence", "filter", "channels", "attributes")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FeatureValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FeatureValue, _Mapping]] = ...) -> None: ...
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    features: _containers.MessageMap[str, FeatureValue]
    history: ItemIds
    vector: FloatList
    limit: int
    candidate_item_ids: ItemIds
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    exclude_history: bool
    exact: bool
    min_sequence: int
    filter: Filter
    channels: _containers.RepeatedScalarFieldContainer[Channel]
    attributes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., features: _Optional[_Mapping[str, FeatureValue]] = ..., history: _Optional[_Union[ItemIds, _Mapping]] = ..., vector: _Optional[_Union[FloatList, _Mapping]] = ..., limit: _Optional[int] = ..., candidate_item_ids: _Optional[_Union[ItemIds, _Mapping]] = ..., exclude_item_ids: _Optional[_Iterable[str]] = ..., exclude_history: _Optional[bool] = ..., exact: _Optional[bool] = ..., min_sequence: _Optional[int] = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., channels: _Optional[_Iterable[_Union[Channel, str]]] = ..., attributes: _Optional[_Iterable[str]] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("equals", "in_values", "range", "any_of", "all_of", "present", "item_ids", "and_filters", "or_filters", "not_filter")
    EQUALS_FIELD_NUMBER: _ClassVar[int]
    IN_VALUES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    AND_FILTERS_FIELD_NUMBER: _ClassVar[int]
    OR_FILTERS_FIELD_NUMBER: _ClassVar[int]
    NOT_FILTER_FIELD_NUMBER: _ClassVar[int]
    equals: EqualsCondition
    in_values: InCondition
    range: RangeCondition
    any_of: SetCondition
    all_of: SetCondition
    present: str
    item_ids: ItemIds
    and_filters: FilterList
    or_filters: FilterList
    not_filter: Filter
    def __init__(self, equals: _Optional[_Union[EqualsCondition, _Mapping]] = ..., in_values: _Optional[_Union[InCondition, _Mapping]] = ..., range: _Optional[_Union[RangeCondition, _Mapping]] = ..., any_of: _Optional[_Union[SetCondition, _Mapping]] = ..., all_of: _Optional[_Union[SetCondition, _Mapping]] = ..., present: _Optional[str] = ..., item_ids: _Optional[_Union[ItemIds, _Mapping]] = ..., and_filters: _Optional[_Union[FilterList, _Mapping]] = ..., or_filters: _Optional[_Union[FilterList, _Mapping]] = ..., not_filter: _Optional[_Union[Filter, _Mapping]] = ...) -> None: ...

class FilterList(_message.Message):
    __slots__ = ("filters",)
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[Filter]
    def __init__(self, filters: _Optional[_Iterable[_Union[Filter, _Mapping]]] = ...) -> None: ...

class EqualsCondition(_message.Message):
    __slots__ = ("attribute", "string_value", "number_value")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_VALUE_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    string_value: str
    number_value: float
    def __init__(self, attribute: _Optional[str] = ..., string_value: _Optional[str] = ..., number_value: _Optional[float] = ...) -> None: ...

class InCondition(_message.Message):
    __slots__ = ("attribute", "strings", "numbers")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    strings: _containers.RepeatedScalarFieldContainer[str]
    numbers: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, attribute: _Optional[str] = ..., strings: _Optional[_Iterable[str]] = ..., numbers: _Optional[_Iterable[float]] = ...) -> None: ...

class RangeCondition(_message.Message):
    __slots__ = ("attribute", "at_least", "more_than", "at_most", "less_than")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    MORE_THAN_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    LESS_THAN_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    at_least: float
    more_than: float
    at_most: float
    less_than: float
    def __init__(self, attribute: _Optional[str] = ..., at_least: _Optional[float] = ..., more_than: _Optional[float] = ..., at_most: _Optional[float] = ..., less_than: _Optional[float] = ...) -> None: ...

class SetCondition(_message.Message):
    __slots__ = ("attribute", "values")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, attribute: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class AttributeColumn(_message.Message):
    __slots__ = ("attribute", "values")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    values: _containers.RepeatedCompositeFieldContainer[FeatureValue]
    def __init__(self, attribute: _Optional[str] = ..., values: _Optional[_Iterable[_Union[FeatureValue, _Mapping]]] = ...) -> None: ...

class ItemIds(_message.Message):
    __slots__ = ("item_ids",)
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RecallResponse(_message.Message):
    __slots__ = ("item_ids", "scores", "model_id", "sequence", "short_reason", "answered_from", "item_channels", "attributes")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SHORT_REASON_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FROM_FIELD_NUMBER: _ClassVar[int]
    ITEM_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    scores: _containers.RepeatedScalarFieldContainer[float]
    model_id: str
    sequence: int
    short_reason: str
    answered_from: AnsweredFrom
    item_channels: _containers.RepeatedScalarFieldContainer[Channel]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeColumn]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., scores: _Optional[_Iterable[float]] = ..., model_id: _Optional[str] = ..., sequence: _Optional[int] = ..., short_reason: _Optional[str] = ..., answered_from: _Optional[_Union[AnsweredFrom, str]] = ..., item_channels: _Optional[_Iterable[_Union[Channel, str]]] = ..., attributes: _Optional[_Iterable[_Union[AttributeColumn, _Mapping]]] = ...) -> None: ...

class BatchRecallRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RecallRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[RecallRequest, _Mapping]]] = ...) -> None: ...

class BatchRecallResponse(_message.Message):
    __slots__ = ("responses", "model_id", "sequence")
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.RepeatedCompositeFieldContainer[RecallResponse]
    model_id: str
    sequence: int
    def __init__(self, responses: _Optional[_Iterable[_Union[RecallResponse, _Mapping]]] = ..., model_id: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class ExplainItemRequest(_message.Message):
    __slots__ = ("recall", "item_id")
    RECALL_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    recall: RecallRequest
    item_id: str
    def __init__(self, recall: _Optional[_Union[RecallRequest, _Mapping]] = ..., item_id: _Optional[str] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: MissingReason
    message: str
    def __init__(self, reason: _Optional[_Union[MissingReason, str]] = ..., message: _Optional[str] = ...) -> None: ...

class ExplainItemResponse(_message.Message):
    __slots__ = ("model_id", "sequence", "is_returned", "missing", "score", "vector_score", "content_score", "rank", "num_eligible", "last_score", "part", "answered_from", "is_trained")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    IS_RETURNED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    VECTOR_SCORE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SCORE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    NUM_ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    LAST_SCORE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FROM_FIELD_NUMBER: _ClassVar[int]
    IS_TRAINED_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    sequence: int
    is_returned: bool
    missing: _containers.RepeatedCompositeFieldContainer[Missing]
    score: float
    vector_score: float
    content_score: float
    rank: int
    num_eligible: int
    last_score: float
    part: IndexPart
    answered_from: AnsweredFrom
    is_trained: bool
    def __init__(self, model_id: _Optional[str] = ..., sequence: _Optional[int] = ..., is_returned: _Optional[bool] = ..., missing: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ..., score: _Optional[float] = ..., vector_score: _Optional[float] = ..., content_score: _Optional[float] = ..., rank: _Optional[int] = ..., num_eligible: _Optional[int] = ..., last_score: _Optional[float] = ..., part: _Optional[_Union[IndexPart, str]] = ..., answered_from: _Optional[_Union[AnsweredFrom, str]] = ..., is_trained: _Optional[bool] = ...) -> None: ...

class SimilarItemsRequest(_message.Message):
    __slots__ = ("item_id", "item", "limit", "by", "exact", "min_sequence", "exclude_item_ids", "filter", "attributes")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    item: Item
    limit: int
    by: SimilarBy
    exact: bool
    min_sequence: int
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    filter: Filter
    attributes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item_id: _Optional[str] = ..., item: _Optional[_Union[Item, _Mapping]] = ..., limit: _Optional[int] = ..., by: _Optional[_Union[SimilarBy, str]] = ..., exact: _Optional[bool] = ..., min_sequence: _Optional[int] = ..., exclude_item_ids: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., attributes: _Optional[_Iterable[str]] = ...) -> None: ...

class SimilarItemsResponse(_message.Message):
    __slots__ = ("item_ids", "scores", "model_id", "sequence", "short_reason", "attributes")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SHORT_REASON_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    scores: _containers.RepeatedScalarFieldContainer[float]
    model_id: str
    sequence: int
    short_reason: str
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeColumn]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., scores: _Optional[_Iterable[float]] = ..., model_id: _Optional[str] = ..., sequence: _Optional[int] = ..., short_reason: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[AttributeColumn, _Mapping]]] = ...) -> None: ...

class UpsertItemsRequest(_message.Message):
    __slots__ = ("items", "validate_only", "request_id", "update_mask")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    validate_only: bool
    request_id: str
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("item_id", "code", "message", "user_id")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    code: str
    message: str
    user_id: str
    def __init__(self, item_id: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class UpsertItemsResponse(_message.Message):
    __slots__ = ("sequence", "model_id", "warnings")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    model_id: str
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    def __init__(self, sequence: _Optional[int] = ..., model_id: _Optional[str] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ...) -> None: ...

class DeleteItemsRequest(_message.Message):
    __slots__ = ("item_ids", "request_id")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteItemsResponse(_message.Message):
    __slots__ = ("sequence", "model_id", "num_deleted")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    NUM_DELETED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    model_id: str
    num_deleted: int
    def __init__(self, sequence: _Optional[int] = ..., model_id: _Optional[str] = ..., num_deleted: _Optional[int] = ...) -> None: ...

class UpsertUsersRequest(_message.Message):
    __slots__ = ("users", "validate_only", "request_id")
    USERS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    validate_only: bool
    request_id: str
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpsertUsersResponse(_message.Message):
    __slots__ = ("sequence", "model_id", "warnings")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    model_id: str
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    def __init__(self, sequence: _Optional[int] = ..., model_id: _Optional[str] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ...) -> None: ...

class DeleteUsersRequest(_message.Message):
    __slots__ = ("user_ids", "request_id")
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteUsersResponse(_message.Message):
    __slots__ = ("sequence", "model_id", "num_deleted")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    NUM_DELETED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    model_id: str
    num_deleted: int
    def __init__(self, sequence: _Optional[int] = ..., model_id: _Optional[str] = ..., num_deleted: _Optional[int] = ...) -> None: ...

class RecordInteractionsRequest(_message.Message):
    __slots__ = ("interactions", "request_id")
    INTERACTIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    interactions: _containers.RepeatedCompositeFieldContainer[Interaction]
    request_id: str
    def __init__(self, interactions: _Optional[_Iterable[_Union[Interaction, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RecordInteractionsResponse(_message.Message):
    __slots__ = ("sequence", "model_id", "num_recorded")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    NUM_RECORDED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    model_id: str
    num_recorded: int
    def __init__(self, sequence: _Optional[int] = ..., model_id: _Optional[str] = ..., num_recorded: _Optional[int] = ...) -> None: ...

class GetItemRequest(_message.Message):
    __slots__ = ("item_id", "min_sequence")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    min_sequence: int
    def __init__(self, item_id: _Optional[str] = ..., min_sequence: _Optional[int] = ...) -> None: ...

class GetItemResponse(_message.Message):
    __slots__ = ("item", "item_sequence", "model_id", "sequence", "retrievable")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    ITEM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RETRIEVABLE_FIELD_NUMBER: _ClassVar[int]
    item: Item
    item_sequence: int
    model_id: str
    sequence: int
    retrievable: bool
    def __init__(self, item: _Optional[_Union[Item, _Mapping]] = ..., item_sequence: _Optional[int] = ..., model_id: _Optional[str] = ..., sequence: _Optional[int] = ..., retrievable: _Optional[bool] = ...) -> None: ...

class ListItemsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "min_sequence")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    min_sequence: int
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., min_sequence: _Optional[int] = ...) -> None: ...

class ListItemsResponse(_message.Message):
    __slots__ = ("items", "item_sequences", "retrievable", "next_page_token", "model_id", "sequence", "damaged_item_ids")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ITEM_SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    RETRIEVABLE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    item_sequences: _containers.RepeatedScalarFieldContainer[int]
    retrievable: _containers.RepeatedScalarFieldContainer[bool]
    next_page_token: str
    model_id: str
    sequence: int
    damaged_item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., item_sequences: _Optional[_Iterable[int]] = ..., retrievable: _Optional[_Iterable[bool]] = ..., next_page_token: _Optional[str] = ..., model_id: _Optional[str] = ..., sequence: _Optional[int] = ..., damaged_item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "kind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ...) -> None: ...

class IndexTrial(_message.Message):
    __slots__ = ("kind", "parameters", "recall", "microseconds", "resident_bytes", "build_seconds", "verdict")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUILD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    parameters: _containers.ScalarMap[str, str]
    recall: float
    microseconds: float
    resident_bytes: int
    build_seconds: float
    verdict: str
    def __init__(self, kind: _Optional[str] = ..., parameters: _Optional[_Mapping[str, str]] = ..., recall: _Optional[float] = ..., microseconds: _Optional[float] = ..., resident_bytes: _Optional[int] = ..., build_seconds: _Optional[float] = ..., verdict: _Optional[str] = ...) -> None: ...

class IndexTuning(_message.Message):
    __slots__ = ("target_recall", "k", "memory_budget_bytes", "recall", "reached", "message", "tried")
    TARGET_RECALL_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BUDGET_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRIED_FIELD_NUMBER: _ClassVar[int]
    target_recall: float
    k: int
    memory_budget_bytes: int
    recall: float
    reached: bool
    message: str
    tried: _containers.RepeatedCompositeFieldContainer[IndexTrial]
    def __init__(self, target_recall: _Optional[float] = ..., k: _Optional[int] = ..., memory_budget_bytes: _Optional[int] = ..., recall: _Optional[float] = ..., reached: _Optional[bool] = ..., message: _Optional[str] = ..., tried: _Optional[_Iterable[_Union[IndexTrial, _Mapping]]] = ...) -> None: ...

class Advice(_message.Message):
    __slots__ = ("rebuild", "reason", "share_fresh", "share_deleted", "share_unsaved", "audited_recall", "merges", "last_merge_seconds", "last_merge_error", "is_merging")
    REBUILD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SHARE_FRESH_FIELD_NUMBER: _ClassVar[int]
    SHARE_DELETED_FIELD_NUMBER: _ClassVar[int]
    SHARE_UNSAVED_FIELD_NUMBER: _ClassVar[int]
    AUDITED_RECALL_FIELD_NUMBER: _ClassVar[int]
    MERGES_FIELD_NUMBER: _ClassVar[int]
    LAST_MERGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_MERGE_ERROR_FIELD_NUMBER: _ClassVar[int]
    IS_MERGING_FIELD_NUMBER: _ClassVar[int]
    rebuild: bool
    reason: str
    share_fresh: float
    share_deleted: float
    share_unsaved: float
    audited_recall: float
    merges: int
    last_merge_seconds: float
    last_merge_error: str
    is_merging: bool
    def __init__(self, rebuild: _Optional[bool] = ..., reason: _Optional[str] = ..., share_fresh: _Optional[float] = ..., share_deleted: _Optional[float] = ..., share_unsaved: _Optional[float] = ..., audited_recall: _Optional[float] = ..., merges: _Optional[int] = ..., last_merge_seconds: _Optional[float] = ..., last_merge_error: _Optional[str] = ..., is_merging: _Optional[bool] = ...) -> None: ...

class Audit(_message.Message):
    __slots__ = ("recall", "low", "high", "num_recalls", "num_audited", "last_time")
    RECALL_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    NUM_RECALLS_FIELD_NUMBER: _ClassVar[int]
    NUM_AUDITED_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    recall: float
    low: float
    high: float
    num_recalls: int
    num_audited: int
    last_time: float
    def __init__(self, recall: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., num_recalls: _Optional[int] = ..., num_audited: _Optional[int] = ..., last_time: _Optional[float] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("model_id", "sequence", "snapshot", "catalog_uuid", "num_base", "num_fresh", "num_deleted", "num_items", "num_skipped", "index_kind", "index_parameters", "dim", "item_features", "user_features", "last_switch_error", "audit", "advice", "item_attributes", "index_tuning", "catalog_sequence", "lag_seconds")
    class IndexParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    CATALOG_UUID_FIELD_NUMBER: _ClassVar[int]
    NUM_BASE_FIELD_NUMBER: _ClassVar[int]
    NUM_FRESH_FIELD_NUMBER: _ClassVar[int]
    NUM_DELETED_FIELD_NUMBER: _ClassVar[int]
    NUM_ITEMS_FIELD_NUMBER: _ClassVar[int]
    NUM_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    INDEX_KIND_FIELD_NUMBER: _ClassVar[int]
    INDEX_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    ITEM_FEATURES_FIELD_NUMBER: _ClassVar[int]
    USER_FEATURES_FIELD_NUMBER: _ClassVar[int]
    LAST_SWITCH_ERROR_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    ITEM_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    INDEX_TUNING_FIELD_NUMBER: _ClassVar[int]
    CATALOG_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    sequence: int
    snapshot: str
    catalog_uuid: str
    num_base: int
    num_fresh: int
    num_deleted: int
    num_items: int
    num_skipped: int
    index_kind: str
    index_parameters: _containers.ScalarMap[str, str]
    dim: int
    item_features: _containers.RepeatedCompositeFieldContainer[Feature]
    user_features: _containers.RepeatedCompositeFieldContainer[Feature]
    last_switch_error: str
    audit: Audit
    advice: Advice
    item_attributes: _containers.RepeatedCompositeFieldContainer[Feature]
    index_tuning: IndexTuning
    catalog_sequence: int
    lag_seconds: float
    def __init__(self, model_id: _Optional[str] = ..., sequence: _Optional[int] = ..., snapshot: _Optional[str] = ..., catalog_uuid: _Optional[str] = ..., num_base: _Optional[int] = ..., num_fresh: _Optional[int] = ..., num_deleted: _Optional[int] = ..., num_items: _Optional[int] = ..., num_skipped: _Optional[int] = ..., index_kind: _Optional[str] = ..., index_parameters: _Optional[_Mapping[str, str]] = ..., dim: _Optional[int] = ..., item_features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., user_features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., last_switch_error: _Optional[str] = ..., audit: _Optional[_Union[Audit, _Mapping]] = ..., advice: _Optional[_Union[Advice, _Mapping]] = ..., item_attributes: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., index_tuning: _Optional[_Union[IndexTuning, _Mapping]] = ..., catalog_sequence: _Optional[int] = ..., lag_seconds: _Optional[float] = ...) -> None: ...
