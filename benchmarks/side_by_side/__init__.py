"""runhv measured beside what a user would take instead. `tools/dev bench` is the way in."""
