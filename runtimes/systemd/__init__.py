"""systemd: units listed, started and stopped by systemctl, and the files that define them."""
