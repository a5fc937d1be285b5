"""Who is written to and when: composing the letters that events call for, and the last look before one leaves."""
