"""Numbers and reasons for people: what a campaign or sequence came to, why one person got what she got, what would happen.

results     letters, clicks, gifts and cents of a campaign or sequence, by step, variant and chapter; held out people beside
explain     every decision about one person with its reason
"""
