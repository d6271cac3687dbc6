"""Contains the gRPC messages of containerd and CRI that Quarterdeck uses, and the modules that `make protos` generates
from them.

A `.proto` file here has only the fields that are read or written; other fields are ignored. Package names are the
engines' own, because they are part of the methods' names. The `_pb2` modules are generated and committed; a test checks
that they match their `.proto` files.
"""
