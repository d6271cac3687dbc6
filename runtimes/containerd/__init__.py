"""Connects Quarterdeck to containerd's native gRPC API."""
