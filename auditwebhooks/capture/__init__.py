"""A write of an audited row -> how the row stood before and after -> an event of the same
transaction."""
