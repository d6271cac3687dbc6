"""Connects Quarterdeck to the OCI runtimes runc and crun, which have no daemon."""
