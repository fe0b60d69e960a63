"""From measurements to rows, expectations and answers."""
