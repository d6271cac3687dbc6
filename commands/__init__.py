"""What people can type: one file per command, grouped by noun."""
