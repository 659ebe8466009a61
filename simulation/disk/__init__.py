"""Disks of simulated nodes: real SQLite files with virtual latency, failures, crash images and power cuts."""
