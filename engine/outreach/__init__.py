"""Who is written to and when: composing the letters that events call for, sequences and campaigns, and the last look before
one leaves.

How a sequence is written:

definitions        a sequence as staff write it: steps, rules, when it is over
waits              how long a wait is, as it is written
sequence_files     a sequence as YAML or JSON, each fault with its line
sequence_checks    what is wrong with one that can be read
sequence_words     one in English, to be read aloud
sequences          published in numbered versions, paused, archived
shipped_sequences  those that come with the code

People in it:

triggers           which event of ours opens which sequence, for whom, and what its letters are told
neighbours         what somebody who joined is told of where she belongs
enrolling          who enters
stepping           those who are due take their next steps, a batch at a time
guards             what is known of them at that moment
plan               what follows for one of them
timing             when waits, quiet hours and lives of letters end, by her clock
zones              which clock is hers, as SQL
steps_taken        what was planned is written down
awaited            what they wait for happens
goals              what ends it for somebody before its last step, as SQL
reached            what happened to her ends it
enrolled           places of people who turn out to be one, or are erased
past_places        places in campaigns that are long over: in the archive
moving             people go on by a newer version

Campaigns:

campaigns          a sequence or a letter for a segment: drafts, and what each one is
campaign_files     a campaign as YAML or JSON
campaign_facts     what it tells its letters
contents           what it sends, and whom it chooses
preflight          what it would be, and what stands against it
launching          it is launched, once; held, approved, undone
expanding          its people enter, a stretch at a time
halting            paused, going on, cancelled
repeating          when its next run is
concluding         it comes to its end
progress           how far it is

The last look:

claims             who may still be written to, in the transaction that claims the letter
lines              whose turn it is
arbitration        how often one person hears from us, and which letter goes first
deliver            from claimed letters to what is handed to the provider

Gifts and asks:

ladders            what each reader of an ask is offered
about_gifts        what letters about money share
thanks             the thank-you for a gift
receipts           the receipt, where it is ours to send
refund_notices     money is on its way back
attribution        which letter a gift is owed to

Letters of the house's own:

confirm            whether it was she
giving_links       the way to her own monthly gifts
trying             letters before they are sent: as others would read them, and by mail to staff

Counting:

tallies            what became of the letters of each step
breakers           what bounces, annoys or is left by too many stands still
"""
