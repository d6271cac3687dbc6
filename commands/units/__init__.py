"""Commands about the systemd units that run containers."""
