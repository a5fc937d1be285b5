"""`python -m bench torture`: the whole system in real processes, under load, while everything around it breaks.

world       where everything of one run is, and the secrets that its doors know: what all others are told
"""
