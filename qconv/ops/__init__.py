"""What qconv knows of float ops: a table of rows, the forms of a node, and the refusals."""
