"""From a file to the wanted frames."""
