"""Connections to engines: sockets, TLS, ssh, HTTP/1.1 and gRPC."""
