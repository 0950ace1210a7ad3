"""The gRPC side: servicer, status mapping and server."""
