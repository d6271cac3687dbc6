"""containerd, by its native gRPC API."""
