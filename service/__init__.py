"""The base of every service: configuration, command line, run loop, systemd, HTTP server, back-off and retries."""
