"""Subscribers' pages: reached by a link from a letter, plain HTML, changing nothing until somebody presses a button."""
