"""What is done to the pixels of a clip: small pure functions."""
