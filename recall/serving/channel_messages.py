"""Channels of a recall: messages to values and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recall.errors import FieldViolation
from recall.live.query import Channel
from recall.live.wire_enums import CHANNELS, by_number
from recall.v1 import recall_pb2 as pb

_FROM_MESSAGE: Mapping[int, Channel] = {
    pb.CHANNEL_UNSPECIFIED: Channel.SERVED,
    **by_number(CHANNELS),
}


def channels_from_message(numbers: Sequence[int], *, path: str) -> tuple[tuple[Channel, ...], list[FieldViolation]]:
    """Returns the channels that a request names, and every violation: unknown ones, and those that come twice."""
    channels: list[Channel] = []
    violations: list[FieldViolation] = []
    for position, number in enumerate(numbers):
        channel = _FROM_MESSAGE.get(number)
        if channel is None:
            known = ", ".join(pb.Channel.Name(value) for value in CHANNELS.values())
            text = f"{number} is no known value; send some of {known}"
        elif channel in channels:
            text = f"{pb.Channel.Name(CHANNELS[channel])} comes twice; send each channel once"
        else:
            channels.append(channel)
            continue
        violations.append(FieldViolation(field=f"{path}[{position}]", description=text))
    return tuple(channels), violations


def channels_to_message(channels: Sequence[Channel]) -> list[pb.Channel]:
    """Returns channels as a reply names them."""
    return [CHANNELS[channel] for channel in channels]
