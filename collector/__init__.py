"""The ingest service: exchange frames in, line protocol out, nothing lost in between."""
