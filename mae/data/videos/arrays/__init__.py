"""Arrays as videos: a frame is an index of the first axis, in time or in depth."""
