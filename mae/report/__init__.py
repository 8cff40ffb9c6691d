"""A run as one page: `report.html`, and `python -m mae.report run_a run_b …` for several beside each other."""
