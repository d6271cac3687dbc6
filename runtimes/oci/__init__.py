"""The OCI runtimes runc and crun, which have no daemon: state directories and a command line."""
