"""Numbers and reasons for people: what a campaign or sequence came to, why one person got what she got, what would happen.

results     letters, clicks, gifts and cents of a campaign or sequence, by step, variant and chapter; held out people beside
explain     every decision about one person with its reason
sayings     these decisions as sentences
world       a clone of the world for some people: temporary tables before the real ones, in a savepoint that is rolled back
clockwork   its clock, which jumps from one due moment to the next
simulate    a campaign or sequence tried there, for a part of its audience or one person
outcomes    what came of that
estimates   what a part of the people tells of all of them
picture     a simulation as an SVG
"""
