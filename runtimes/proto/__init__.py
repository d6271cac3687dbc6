"""Messages of engines that speak gRPC: our own subsets of their protocols, and what `make protos` made of them.

A `.proto` here names only the fields we read or write; what it leaves out passes unread. Package names are the
engines', since methods are called by them. The `_pb2` modules are generated and committed; a test keeps both in step.
"""
