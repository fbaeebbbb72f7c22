"""A network's layers, found by running it on one image, and their drawing as a block diagram."""
