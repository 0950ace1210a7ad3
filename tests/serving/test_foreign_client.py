"""A client that knows nothing of this repository: it learns every message from the server, through reflection."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recall.serving.server import RecallServer

# In a process of its own, where nothing of `recall` is loaded: its generated messages would be found otherwise.
CLIENT = """
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

with grpc.insecure_channel(sys.argv[1]) as channel:
    database = ProtoReflectionDescriptorDatabase(channel)
    (name,) = [name for name in database.get_services() if name.endswith("RecallService")]
    service = DescriptorPool(database).FindServiceByName(name)

    def call(method, **fields):
        found = service.methods_by_name[method]
        request = json_format.ParseDict(fields, GetMessageClass(found.input_type)())
        send = channel.unary_unary(
            f"/{name}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        return send(request, timeout=30)

    item = {"item_id": "new", "features": {"topic": {"string_value": "b"}}}
    written = call("UpsertItems", items=[item], request_id="r")
    assert call("UpsertItems", items=[item], request_id="r") == written
    found = call("Recall", history={"item_ids": ["b0"]}, limit=4, min_sequence=written.sequence)
    assert list(found.item_ids) == ["b1", "b2", "b3", "new"], found
    status = call("GetStatus")
    assert (status.sequence, status.num_items) == (written.sequence, 9), status
    assert status.model_id == found.model_id == written.model_id
    try:
        call("GetItem", item_id="never")
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
    else:
        raise AssertionError("an unknown item was found")
    print(", ".join(sorted(service.methods_by_name)))
assert not [module for module in sys.modules if module.split(".")[0] == "recall"]
"""


@pytest.mark.slow
def test_a_client_without_generated_code_writes_recalls_and_asks_for_the_status(server: RecallServer) -> None:
    command = [sys.executable, "-c", CLIENT, server.address]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert {"Recall", "UpsertItems", "GetStatus"} <= set(result.stdout.strip().split(", "))
