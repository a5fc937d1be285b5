"""An import from its files to its report: all records are staged, then merged by address, batch by batch.

One at a time. Killed, it goes on where it was: the bookmark says how many records are staged, `import_person` which addresses
are merged. Both staged tables are empty once it is finished, and after a crash of Postgres, when it begins anew: to stage or
merge anything twice changes nothing.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine import bookmarks
from engine.bookmarks import Place
from engine.bootstrap import Deps
from engine.errors import Conflict, Invalid
from engine.people_import import merging, reports, staging
from engine.people_import.layout import Choices
from engine.people_import.merging import Overtaken
from engine.people_import.reading import List, fingerprint, opened
from engine.people_import.reports import Summary
from engine.people_import.rows import Reader
from engine.people_import.staging import Refusals, Tally

BATCH_ADDRESSES = 10_000
TRIES = 4
MARK = "people-import:"
LOCK = 0x67726D7A

_TRY_LOCK = text("SELECT pg_try_advisory_lock(:lock)")
_UNLOCK = text("SELECT pg_advisory_unlock(:lock)")
_ANY_STAGED = text("SELECT EXISTS (SELECT FROM import_row)")
_EMPTY = text("TRUNCATE import_row, import_person")
_OTHERS_BEGIN_ANEW = text("UPDATE bookmark SET number = 0 WHERE name LIKE :names AND name <> :name AND number > 0")
_ANALYZE = text("ANALYZE import_row")
_MERGED = text("SELECT count(*) FROM import_person")
_MERGED_UPTO = text("SELECT coalesce(max(email), :after) FROM import_person WHERE email > :after AND email <= :last")
# How many, the one in the middle, the last: the same however far a run has come, with those whose rows were left out of it.
_ADDRESSES = text("""
WITH address AS MATERIALIZED (SELECT email FROM import_row UNION SELECT email FROM import_person)
SELECT count(*), (SELECT email FROM address ORDER BY email OFFSET (SELECT count(*) / 2 FROM address) LIMIT 1), max(email)
FROM address
""")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a run, and what the operator said of it."""

    path: Path
    choices: Choices = field(default_factory=Choices)


@dataclass(slots=True)
class Outcome:
    """What came of a run. `finished_at`: it had been finished before, and nothing was done. `went_on_at`: so many records
    were staged before this run went on; they are read again, so that their refusals are told with the others."""

    files: list[tuple[Source, List, Tally]]
    summary: Summary | None = None
    finished_at: datetime | None = None
    went_on_at: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """Addresses after one up to another, and the files of the run as the statements want them."""

    after: str
    last: str
    files: str


Progress = Callable[[str, int, int], None]  # reading (bytes) or merging (addresses): done, of how many


@dataclass(slots=True)
class _Run:
    """The run at hand: `name` of its bookmark; `told_at`: when we were first told, the time of words without one."""

    session: Session
    deps: Deps
    name: str
    told_at: datetime
    files: list[tuple[Source, List, Tally]]
    tell: Progress
    dry: bool
    staged: int = 0


def run(
    deps: Deps, sources: Sequence[Source], tell: Progress, *, again: bool = False, dry_run: bool = False,
    rows_to: Path | None = None,
) -> Outcome:  # fmt: skip
    """Import these files as one. `again`: although it was finished before; `dry_run`: write nothing, say what would happen;
    `rows_to`: a CSV file of every address with what came of it.

    Raises Invalid for a file that is no list of people, before anything is done; Conflict while another import runs.
    """
    most = deps.settings.import_megabytes * 1_000_000
    name = _name(sources)
    with ExitStack() as open_files, _alone(deps) as session:
        lists = [open_files.enter_context(_opened(each, most)) for each in sources]
        files = [(source, found, Tally()) for source, found in zip(sources, lists, strict=True)]
        with session.begin():
            now = deps.clock.read(session)
            mark, done = bookmarks.find(session, name), bookmarks.find(session, f"{name}:done")
        if done and not again and not dry_run:
            return Outcome(files, finished_at=done.at)
        told_at = mark.at if mark and mark.at else now
        at_hand = _Run(session, deps, name, told_at, files, tell, dry_run)
        went_on_at = _begin(at_hand, mark, anew=bool(done or dry_run))
        _stage(at_hand)
        _merge(at_hand)
        with session.begin():
            summary = reports.summary(
                session, [(source.path.name, found.layout.tool.name) for source, found, _ in files]
            )
            if rows_to is not None:
                reports.write(session, rows_to, [source.path.name for source in sources])
        if not dry_run:
            _finish(at_hand)
        return Outcome(files, summary, went_on_at=went_on_at)


def check(source: Source, megabytes: int) -> str:
    """Why this file cannot be imported, in one sentence; "" when it can."""
    try:
        with _opened(source, megabytes * 1_000_000):
            return ""
    except Invalid as error:
        return str(error)
    except OSError as error:
        return error.strerror or type(error).__name__


def _opened(source: Source, most: int) -> AbstractContextManager[List]:
    return opened(source.path, source.choices, most)


@contextmanager
def _alone(deps: Deps) -> Iterator[Session]:
    """A session on one connection, while nobody else imports people."""
    with _held(deps) as session:
        with session.begin():
            if not session.execute(_TRY_LOCK, {"lock": LOCK}).scalar_one():
                raise Conflict("people are being imported already: one import at a time")
        try:
            yield session
        finally:
            session.rollback()
            with session.begin():
                session.execute(_UNLOCK, {"lock": LOCK})


@contextmanager
def _held(deps: Deps) -> Iterator[Session]:
    """A session that keeps one connection from transaction to transaction, with what it knows: locks, temporary tables."""
    with deps.sessions() as session:
        bind = session.get_bind()
    assert isinstance(bind, Engine)
    with bind.connect() as connection, Session(connection, expire_on_commit=False) as session:
        try:
            yield session
        finally:
            session.rollback()
            with session.begin():
                session.execute(merging.DROP)


def _name(sources: Sequence[Source]) -> str:
    """What the bookmark of these files, read in this way, is called."""
    known = hashlib.sha256()
    for source in sources:
        how = (source.choices.tool.name if source.choices.tool else "", sorted(source.choices.mapping.items()))
        known.update(fingerprint(source.path) + repr((*how, source.choices.assumed, source.path.name)).encode())
    return MARK + known.hexdigest()


def _begin(at_hand: _Run, mark: Place | None, *, anew: bool) -> int:
    """Make ready; returns how many records are staged already."""
    session = at_hand.session
    with session.begin():
        for table in (*merging.TABLES, *(merging.DRY_TABLES if at_hand.dry else ())):
            session.execute(table)
        if at_hand.dry:
            return 0
        if mark and mark.number and not anew and session.execute(_ANY_STAGED).scalar_one():
            at_hand.staged = mark.number
            return mark.number
        session.execute(_EMPTY)
        session.execute(_OTHERS_BEGIN_ANEW, {"names": MARK + "%", "name": at_hand.name})
        bookmarks.take_out(session, f"{at_hand.name}:done")
        bookmarks.put(session, at_hand.name, Place(at_hand.told_at, 0))
    return 0


def _stage(at_hand: _Run) -> None:
    """All files, one after the other, as far as they are not staged."""
    before, read = at_hand.staged, 0
    whole = sum(found.size for _, found, _ in at_hand.files)
    for number, (_, found, tally) in enumerate(at_hand.files):
        records = found.records()
        reader = Reader(found.layout, number, at_hand.told_at)
        with closing(Refusals(found, kept=not at_hand.dry)) as refusals:
            while count := staging.read_again(islice(records, before), reader, tally, refusals):
                before -= count
                at_hand.tell("reading", min(read + found.bytes_read(), whole), whole)
            stage = partial(staging.stage, at_hand.session, records, reader, tally, refusals)
            while _stage_batch(at_hand, stage):
                at_hand.tell("reading", min(read + found.bytes_read(), whole), whole)
        read += found.size


def _stage_batch(at_hand: _Run, stage: Callable[[], int]) -> int:
    with at_hand.session.begin():
        count = stage()
        at_hand.staged += count
        if count and not at_hand.dry:
            bookmarks.put(at_hand.session, at_hand.name, Place(at_hand.told_at, at_hand.staged))
    return count


def _merge(at_hand: _Run) -> None:
    """All staged addresses, as far as they are not merged: in as many parts as there are hands, each in its own order. The
    parts share no contact, so that none waits for another."""
    session = at_hand.session
    files = merging.files_of([(found.layout.tool.source, source.path.name) for source, found, _ in at_hand.files])
    with session.begin():
        session.execute(_ANALYZE)
        whole, middle, last = session.execute(_ADDRESSES).one()
        done = session.execute(_MERGED).scalar_one()
    if not whole:
        return
    ends = [last] if at_hand.dry else sorted({middle, last})  # what a dry run staged, one connection alone can see
    parts = [_Part(after, end, files) for after, end in zip(["", *ends], ends, strict=False)]
    told: SimpleQueue[int | None] = SimpleQueue()
    stopping = Event()
    with ThreadPoolExecutor(len(parts)) as hands:
        work = [hands.submit(_merge_part, at_hand, part, told, stopping) for part in parts]
        try:
            for _ in parts:
                while (count := told.get()) is not None:
                    done += count
                    at_hand.tell("merging", min(done, whole), whole)
        finally:
            stopping.set()
    for each in work:
        each.result()


def _merge_part(at_hand: _Run, part: _Part, told: "SimpleQueue[int | None]", stopping: Event) -> None:
    """The addresses of one part, batch by batch, on a connection of its own."""
    try:
        with _connected(at_hand) as session:
            with session.begin():
                after = session.execute(_MERGED_UPTO, {"after": part.after, "last": part.last}).scalar_one()
            while not stopping.is_set():
                with session.begin():
                    limits = {"after": after, "last": part.last, "most": BATCH_ADDRESSES}
                    upto = session.execute(merging.UPTO, limits).scalar_one()
                if upto is None:
                    return
                batch = {"after": after, "upto": upto, "files": part.files, "told_at": at_hand.told_at}
                _patiently(partial(_merge_batch, at_hand, session, batch))
                after = upto
                told.put(BATCH_ADDRESSES)
    finally:
        told.put(None)


@contextmanager
def _connected(at_hand: _Run) -> Iterator[Session]:
    """A session with the tables of a batch; of a dry run, the one that staged."""
    if at_hand.dry:
        yield at_hand.session
        return
    with _held(at_hand.deps) as session:
        with session.begin():
            for table in merging.TABLES:
                session.execute(table)
        yield session


def _merge_batch(at_hand: _Run, session: Session, batch: dict[str, object]) -> None:
    with session.begin():
        now = at_hand.deps.clock.read(session)
        merging.merge(session, batch, at_hand.deps.signer, now, dry_run=at_hand.dry)


def _patiently(merge: Callable[[], None]) -> None:
    """Do it; once more when others were in the way: a lock held too long, a circle that Postgres broke, an erasure."""
    for _ in range(TRIES - 1):
        try:
            merge()
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
        except Overtaken:
            continue
        else:
            return
    merge()


def _finish(at_hand: _Run) -> None:
    """Nothing of it stays but that it was done."""
    with at_hand.session.begin():
        now = at_hand.deps.clock.read(at_hand.session)
        at_hand.session.execute(_EMPTY)
        bookmarks.put(at_hand.session, at_hand.name, Place(at_hand.told_at, 0))
        bookmarks.put(at_hand.session, f"{at_hand.name}:done", Place(now, at_hand.staged))
