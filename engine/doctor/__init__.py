"""What is right, what is wrong and what to do about it, in a running installation. Nothing here changes anything.

findings       what one look comes to
configuration  settings, and keys by what they look like
providers      keys that are shown to those who gave them; nothing else leaves this machine
database       Postgres: its version, its schema, its size, its clock; the disk
redis_server   Redis: whether it keeps bells, whether it is ours alone, its version
mail_domains   what receivers of letters find about each sender's domain
heard          when each webhook was last heard of
one_click      whether one click stops letters
backlog        what is due and is not done; what needs a person
growth         how much there is of what grows, and how fast
examining      all of it, in order
"""
