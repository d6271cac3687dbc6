"""Contains the code that the adapters of Docker and Podman share: both engines have an HTTP API of Docker's form."""
