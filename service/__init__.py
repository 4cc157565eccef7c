"""What every service of ours begins with: its TOML file, told wrong in one line; systemd; an event loop that works."""
