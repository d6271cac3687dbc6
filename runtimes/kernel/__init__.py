"""What the Linux kernel says of containers: cgroup files, /proc, inotify."""
