"""How long a browser takes to open a report: ``python -m tests.simulation.opening_times FILE [--times N]``.

Opens a copy of the page, which says by itself when it was loaded and laid out, in a Chromium without a window and with
a new profile each time. Prints the median; a busy machine makes it longer.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
SAYS = """<script>
addEventListener("load", () => {
  const loaded = performance.now();
  document.body.getBoundingClientRect();
  const [navigation] = performance.getEntriesByType("navigation");
  document.documentElement.dataset.opened = JSON.stringify({
    parsed: navigation.domInteractive, loaded, "laid out": performance.now()});
});
</script>
"""


def opened(page: Path) -> dict[str, float]:
    """Milliseconds from the start of the navigation until it was parsed, loaded and laid out."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "report.html")
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{SAYS}</body>"), encoding="utf-8")
        command = [str(CHROMIUM), *OPTIONS.split(), f"--user-data-dir={folder}/profile"]
        ran = subprocess.run([*command, "--dump-dom", copy.as_uri()], capture_output=True, text=True, check=True)
    found = re.search(r'data-opened="([^"]+)"', ran.stdout)
    assert found, "the page did not say when it was there"
    times: dict[str, float] = json.loads(found[1].replace("&quot;", '"'))
    return times


def main() -> None:
    """Print size and times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("no Chromium is here: apt install chromium")
    all_times = [opened(asked.page) for _ in range(asked.times)]
    medians = {name: statistics.median(times[name] for times in all_times) for name in all_times[0]}
    said = ", ".join(f"{name} after {value:.0f} ms" for name, value in medians.items())
    print(f"{asked.page.name}: {asked.page.stat().st_size / 1e6:.2f} MB, {said}")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
