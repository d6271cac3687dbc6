"""Runs the recurring jobs of the process: measurements that are not urgent, and the removal of old data."""
