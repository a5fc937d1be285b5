"""Who is meant: rules that choose people, as staff write them, as SQL, and in English.

rules      the operators: what a rule may say, read strictly
names      the chapters, funds, forms, interests and letters that a rule names, found
sql        a rule as SQL over contact `c`: one small function an operator
words      a rule in English
audience   whom it chooses who may also be written to: how many, why so few, twenty of them
files      segments as YAML or JSON, each fault with its line
shelf      saved segments: rules that are asked anew each time, never lists of people
"""
