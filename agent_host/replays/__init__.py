"""A recorded run, run again: what answers from the record, and where the two part."""
