"""`groundswell import actblue`: ActBlue's CSV reports onto the books, in flat memory, to be stopped and continued at will."""
