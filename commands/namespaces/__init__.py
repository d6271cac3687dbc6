"""Commands about namespaces of containerd."""
