"""Engines with the Kubernetes Container Runtime Interface (CRI): CRI-O, and containerd under a kubelet."""
