"""containerd, through its native gRPC API."""
