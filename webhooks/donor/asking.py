"""Which donation form a request is about, and on which terms: the amounts, the language, what a link filled in, whether it
stands in a frame of another site."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.requests import Request

from engine import languages
from engine.errors import Invalid
from engine.giving import ask_links
from engine.giving.ask_links import Offered
from engine.giving.forms import Definition, Said, Shown
from engine.money import cents, plain_dollars
from engine.sources.words import clean
from engine.tokens import Signer
from webhooks.donor.published import Offer
from webhooks.forms import Stamp
from webhooks.pages import spoken

LONGEST_CODE = 200
LONGEST_TOKEN = 512
# As ActBlue's links say "each month": a number is one of months.
YES = re.compile(r"true|yes|month|monthly|[1-9]\d?", re.ASCII | re.IGNORECASE)
