"""What reports have in common: tables of text, a self-contained page, tables in the terminal."""
