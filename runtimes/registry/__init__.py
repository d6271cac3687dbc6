"""Reads images from registries without pulling them: digests, manifests, configurations and tags."""
