"""The way of a transition: games, generators, replay, dataset."""
