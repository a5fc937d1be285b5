"""Money: gifts, from the page where they are begun to the books, and whom we ask for what.

The books: contributions, donors (without an address), payment_words (told apart from their payment), reversals, plans; the
ledger, the totals, books (the proof), keeping (merged and erased people), gift_consent (what a gift says about letters).
Who receives: funds, fund_files; limits with their periods, excesses (gifts above one), the treasurer's lists.
The page: forms, form_files, form_shelf, form_words, form_links, previews; a checkout from its beginnings to its ends;
declines (the breaker); monthly (own plans); refund_orders; summary (for the home page).
Asking: asks with their histories and reasons, ask_links, ask_rests (when nobody asks).
"""
