"""Methods that turn the summary of a tensor into a range, one per file, and the search by measured error."""
