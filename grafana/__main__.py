"""Write the dashboards' JSON, or check that it matches the source.

    python -m grafana [--check]

With --check, the exit code is 1 if a file differs from its source, is missing, or has no source.
"""

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import exchange, freshness, funding, gateway, hosts, overview, pair, pipeline

FOLDER = Path(__file__).parent / "dashboards"
BUILDERS = (
    overview.build,
    freshness.build,
    pair.build,
    funding.build,
    exchange.build,
    pipeline.build,
    gateway.build,
    hosts.build,
)


def documents() -> dict[str, str]:
    """Return the JSON of every dashboard, by file name. Without id and version, which Grafana assigns itself."""
    found = {}
    for build in BUILDERS:
        document = json.loads(json.dumps(build(), cls=JSONEncoder))
        document = {key: value for key, value in document.items() if key not in ("id", "version")}
        for link in document["links"]:
            del link["placement"]  # the SDK would hide the links to the other dashboards in a menu
        found[f"{document['uid']}.json"] = json.dumps(document, indent=2, sort_keys=True) + "\n"
    return found


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m grafana", description="Write the dashboards' JSON.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    wanted = documents()
    there = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    different = sorted(name for name in wanted.keys() | there if wanted.get(name) != there.get(name))
    if check:
        for name in different:
            print(f"grafana/dashboards/{name} does not match its source: run `python -m grafana`")
        return 1 if different else 0
    for name in different:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
        print(f"grafana/dashboards/{name} {'written' if name in wanted else 'removed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
