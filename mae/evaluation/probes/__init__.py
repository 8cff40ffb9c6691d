"""What frozen features know: arrays in, class probabilities out."""
