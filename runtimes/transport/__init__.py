"""Connects to engines: unix sockets, TCP, TLS, ssh, HTTP/1.1 and gRPC."""
