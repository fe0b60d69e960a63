"""From a batch to a gradient step: networks, targets, losses."""
