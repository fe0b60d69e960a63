"""What everything stands on: errors, machine, time, files."""
