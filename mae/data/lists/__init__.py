"""From a directory or a text list to the videos of a data set."""
