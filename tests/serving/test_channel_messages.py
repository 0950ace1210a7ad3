from __future__ import annotations

from recall.live.query import Channel
from recall.serving.channel_messages import channels_from_message, channels_to_message
from recall.v1 import recall_pb2 as pb


def test_every_channel_has_its_message_and_every_message_its_channel() -> None:
    numbers = channels_to_message(tuple(Channel))
    assert [pb.Channel.Name(number) for number in numbers] == [f"CHANNEL_{channel.name}" for channel in Channel]
    assert channels_from_message(numbers, path="channels") == (tuple(Channel), [])
    assert {pb.CHANNEL_UNSPECIFIED, *numbers} == set(pb.Channel.values())
    assert channels_from_message([pb.CHANNEL_UNSPECIFIED], path="channels") == ((Channel.SERVED,), [])


def test_unknown_channels_and_those_named_twice_are_refused_by_their_place() -> None:
    numbers = [pb.CHANNEL_EXACT, 99, pb.CHANNEL_SERVED, pb.CHANNEL_UNSPECIFIED]
    _, violations = channels_from_message(numbers, path="channels")
    assert [violation.field for violation in violations] == ["channels[1]", "channels[3]"]
    assert "99 is no known value; send some of CHANNEL_SERVED" in violations[0].description
    assert "CHANNEL_SERVED comes twice" in violations[1].description
