"""File containers of checkpoints: bytes on disk to named NumPy arrays and back, with no knowledge of any model."""
