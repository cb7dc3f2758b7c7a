"""`python -m bench [--only ingest,build] [--quick] [--publish]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from typing import Any

FIGURES = ("ingest", "build", "delivery", "isolation", "scale", "screens", "pages", "growth", "backlog")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measures the product beside the limits of the machine.")
    parser.add_argument("--only", default="", help=f"comma-separated, of: {', '.join(FIGURES)}")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and two rounds: to try, not to publish")
    parser.add_argument("--publish", action="store_true", help="also draw docs/images/bench.svg")
    asked = parser.parse_args()
    chosen = [name for name in asked.only.replace(" ", "").split(",") if name] or list(FIGURES)
    unknown = [name for name in chosen if name not in FIGURES]
    if unknown:
        parser.error(f"no such figure: {', '.join(unknown)}")
    from bench.installation import alone

    with alone():
        return measure(chosen, quick=asked.quick, publish=asked.publish)


def measure(chosen: list[str], *, quick: bool, publish: bool) -> int:
    from bench import installation

    installation.prepare_environment()
    installation.sweep()
    import django

    django.setup()
    from bench import machine, report

    found: dict[str, list[Any]] = {}
    failed: list[str] = []
    started = time.monotonic()
    try:
        with installation.installation() as stack:
            described = machine.describe(stack.sql)
            print(" · ".join(f"{name} {value}" for name, value in described.items()), flush=True)
            for name in chosen:
                begun = time.monotonic()
                print(f"\n{name} …", flush=True)
                try:
                    found[name] = importlib.import_module(f"bench.{name}").run(stack, quick=quick)
                    report.show(found[name])
                except Exception:  # noqa: BLE001  (the other figures are still worth having)
                    failed.append(name)
                    traceback.print_exc()
                finally:
                    stack.stop_processes()
                print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)
    except KeyboardInterrupt:
        print("\nstopped; nothing of it runs any more", file=sys.stderr)
        return 130
    rows = [row for group in found.values() for row in group]
    report.save(installation.RESULTS, described, found, quick=quick)
    print(f"\n{len(rows)} figures in {time.monotonic() - started:.0f} s", flush=True)
    report.show(rows)
    if publish:
        report.draw(rows, described)
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
