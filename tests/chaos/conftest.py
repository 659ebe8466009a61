"""What the chaos needs of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest


@cache
def missing(what: str) -> str:
    """Why something cannot be used here; "" if it can."""
    match what:
        case "needs_strace":
            return strace_missing()
        case "needs_netns":
            return netns_missing()
        case _:
            return ""


def strace_missing() -> str:
    if shutil.which("strace") is None:
        return "strace is not there: apt install strace"
    probe = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "true"]
    done = subprocess.run(probe, capture_output=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.decode().strip()}"


def netns_missing() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip is not there: apt install iproute2"
    name = f"hf-probe-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return "" if done.returncode == 0 else f"no network namespaces here: {done.stderr.decode().strip()}"


def pytest_runtest_setup(item):
    for marker in item.iter_markers():
        if reason := missing(marker.name):
            pytest.skip(reason)
