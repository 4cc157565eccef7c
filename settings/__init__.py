"""Reads a service's TOML file: one section a model, wrong input told in one line."""
