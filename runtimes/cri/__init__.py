"""Connects Quarterdeck to CRI engines (Kubernetes Container Runtime Interface): CRI-O, and containerd under a
kubelet."""
