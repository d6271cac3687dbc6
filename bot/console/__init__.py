"""The console on a terminal, and single commands for scripts."""
