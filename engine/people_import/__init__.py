"""`groundswell import people`: other tools' lists of people, all files of a run as one, to be stopped and continued at will.

reading -> rows (by the headings of `headings`, through a layout) -> staging (COPY) -> merging (SQL, by address) -> telling.
"""
