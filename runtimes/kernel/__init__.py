"""Reads what the Linux kernel reports about containers: cgroup files, /proc, inotify."""
