"""Engines that speak the Kubernetes Container Runtime Interface: CRI-O, and containerd under a kubelet."""
