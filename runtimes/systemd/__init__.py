"""Lists, starts and stops systemd units with systemctl, and writes unit files."""
