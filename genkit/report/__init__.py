"""The report of one run or several: a single HTML file that asks nothing of a network. Nothing here imports torch."""

from genkit.report.page import BUDGET, Written, write_report

__all__ = ["BUDGET", "Written", "write_report"]
