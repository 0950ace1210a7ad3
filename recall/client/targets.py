"""The servers that a client calls: one address, or several that take its calls in turn.

Several become the address list of one gRPC channel, under which calls go in turn to those that are connected and pass
over the others. gRPC takes such a list in numbers only, all of one family, so names are resolved here, once.
"""

from __future__ import annotations

import socket

import grpc

from recall.client.credentials import Credentials
from recall.errors import ConfigError

_OPTIONS = (
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.use_local_subchannel_pool", 1),  # else all clients of a process share one connection to a server
    ("grpc.initial_reconnect_backoff_ms", 100),  # a server that restarts is back in seconds
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_IN_TURN = (("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),)
_FAMILIES = ((socket.AF_INET, "ipv4"), (socket.AF_INET6, "ipv6"))


def channel_to(target: str, credentials: Credentials) -> grpc.Channel:
    """Returns a channel to `HOST:PORT`, or to several with commas between; it connects with the first call.

    Raises:
        ConfigError: There is none; or there are several, and one cannot be resolved; or a file of the credentials
            cannot be read; or a token would be sent without encryption.
    """
    if not target.strip():
        raise ConfigError(f"{target!r} is no address of a server; write HOST:PORT, several with commas between")
    targets = target.split(",")
    credentials.refuse_bare_token(targets)
    options: tuple[tuple[str, str | int], ...] = _OPTIONS
    address = target
    if len(targets) > 1:
        address, options = _address_list(targets), _OPTIONS + _IN_TURN
    if not credentials.is_encrypted:
        return grpc.insecure_channel(address, options=options)
    name = credentials.server_name or (_common_host(targets) if len(targets) > 1 else None)
    if name is not None:
        options += (("grpc.ssl_target_name_override", name),)
    return grpc.secure_channel(address, credentials.channel_credentials(), options=options)


def _common_host(targets: list[str]) -> str:
    """Returns the host of all targets, which their certificates bear; the list of addresses has no name."""
    hosts = {target.strip().rpartition(":")[0].strip("[]") for target in targets}
    if len(hosts) > 1:
        raise ConfigError(
            f"{', '.join(sorted(hosts))} are several names, and a channel checks one; "
            "say with server_name (--tls-server-name) which one all their certificates bear"
        )
    return hosts.pop()


def _address_list(targets: list[str]) -> str:
    found = [_addresses(target.strip()) for target in targets]
    for family, scheme in _FAMILIES:
        if all(family in addresses for addresses in found):
            return f"{scheme}:{','.join(addresses[family] for addresses in found)}"
    names = ", ".join(targets)
    raise ConfigError(f"{names} have no common address family; name all by IPv4, or all by IPv6")


def _addresses(target: str) -> dict[socket.AddressFamily, str]:
    """Returns the first address of each family that a target has."""
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"{target!r} is no address of a server; write HOST:PORT, several with commas between")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"{target} cannot be resolved: {error}; check the name") from error
    addresses: dict[socket.AddressFamily, str] = {}
    for family, _, _, _, address in found:
        number = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
        addresses.setdefault(family, f"{number}:{port}")
    return addresses
