"""How long tests wait for what has to come: it ends what hangs, and no machine is too slow for it."""

PATIENCE = 3600  # seconds
