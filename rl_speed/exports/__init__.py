"""A trained network for other programs: a folder with its weights or graph, what they need to know, and a page."""
