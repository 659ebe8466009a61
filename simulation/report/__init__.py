"""The report of a simulation: one HTML file that a person opens, without a network, to see what happened."""

from .page import write_report

__all__ = ["write_report"]
