"""Tables, page and history."""
