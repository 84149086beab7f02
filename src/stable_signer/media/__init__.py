"""Everything that leaves the program: video, `.pose`, captions, and what says that it is synthetic."""
