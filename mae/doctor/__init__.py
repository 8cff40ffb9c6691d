"""What this machine has, what a run could make of it, and what is wrong: `python -m mae.doctor`."""
