"""Models and migrations tell the same schema; every migration goes up, down and up again."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from engine import migrate
from engine.db import make_pool
from engine.giving import forms
from engine.tables.columns import metadata
from tests import migration_rules

# Everything that Postgres knows about a schema, as text: columns, defaults, constraints, indexes.
CATALOGUE = text("""
SELECT 'column' AS kind, table_name || '.' || column_name AS name,
    concat_ws(' ', data_type, udt_name, is_nullable, column_default, is_identity, identity_generation) AS told
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
ORDER BY 1, 2
""")


@pytest.fixture
def empty(servers) -> Iterator[Engine]:
    """An empty database."""
    name = f"groundswell_test_empty_{os.getpid()}_{os.urandom(3).hex()}"
    with psycopg.connect(servers.database_url, dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        pool = make_pool(servers.database(name), size=1)
        yield pool
        pool.dispose()
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def catalogue(pool: Engine) -> list[tuple[str, str, str]]:
    with pool.connect() as connection:
        return [tuple(row) for row in connection.execute(CATALOGUE)]


def revisions() -> list[str]:
    script = ScriptDirectory.from_config(migrate.config())
    return [revision.revision for revision in script.walk_revisions()][::-1]


def source(revision: str) -> str:
    return Path(ScriptDirectory.from_config(migrate.config()).get_revision(revision).path).read_text("utf-8")


def move(pool: Engine, direction: str, revision: str) -> None:
    with pool.connect() as connection:
        getattr(command, direction)(migrate.config(connection), revision)


def test_the_migrations_make_exactly_the_schema_of_the_models(empty: Engine):
    move(empty, "upgrade", "head")
    migrated = catalogue(empty)
    with empty.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(text(f'DROP TABLE "{table.name}" CASCADE'))
        metadata.create_all(connection)
    assert migrated == catalogue(empty)
    assert len(migrated) > 150


def test_every_migration_goes_up_and_down_and_up_again(empty: Engine):
    seen, released = [catalogue_after_first(empty)], False
    for revision in revisions():
        before = catalogue(empty)
        move(empty, "upgrade", revision)
        after = catalogue(empty)
        move(empty, "downgrade", "-1")
        assert catalogue(empty) == before
        move(empty, "upgrade", revision)
        assert catalogue(empty) == after
        if released:
            assert [revision, *migration_rules.broken(before, after)] == [revision]
            assert [revision, *migration_rules.patient(source(revision))] == [revision]
            assert revision in migration_rules.MAY or [*migration_rules.forbidden(source(revision))] == []
        released = released or revision == migration_rules.NOT_HELD_UP_TO
        seen.append(after)
    assert len(seen) == len(revisions()) + 1


OLD_FORMS = {  # slug: presets, title
    "cheap": ([500, 300], "T"), "seven": ([600, 700, 800, 900, 1000, 1100, 500], "T"), "me": ([2700], "T"),
    "Upper": ([2700], "T"), "untitled": ([2700], " "), "long": ([2700], "T" * 101), "bare": ([], "T"),
    "odd": ([0, 2700, -1, 2700, 5000], "T"),
}  # fmt: skip


def test_forms_of_before_are_all_shown_after_the_migration_of_giving_whatever_they_said(empty: Engine):
    move(empty, "upgrade", "e73c26679106")
    with empty.begin() as connection:
        connection.execute(text("INSERT INTO chapter (slug, name, kind) VALUES ('root', 'Root', 'root')"))
        connection.execute(text("INSERT INTO fund (slug, name) VALUES ('action', 'A')"))
        for slug, (presets, title) in OLD_FORMS.items():
            connection.execute(
                text("INSERT INTO donation_form (slug, title, preset_cents, fund_id, chapter_id)"
                     " SELECT :slug, :title, :presets, f.id, c.id FROM fund f, chapter c"),
                {"slug": slug, "title": title, "presets": presets},
            )  # fmt: skip
    move(empty, "upgrade", "b58d0c94f7e2")
    with Session(empty) as session:
        offered = forms.giving(session, datetime.now(UTC))
        kept = {row.slug: row for row in session.execute(text("SELECT * FROM donation_form"))}
    assert (set(offered.forms), offered.unread) == (set(OLD_FORMS), {})
    said = {slug: one.definition for slug, one in offered.forms.items()}
    for slug, row in kept.items():
        assert (row.title, tuple(row.preset_cents), row.floor_cents, row.version) == (
            said[slug].title, said[slug].preset_cents, said[slug].floor_cents, 1,
        )  # fmt: skip
    assert {slug: one.contradictions() for slug, one in said.items() if one.contradictions()} == {
        "me": [("slug", "me is the address of another page")]
    }
    assert (said["cheap"].floor_cents, said["seven"].preset_cents) == (300, (600, 700, 800, 900, 1000, 1100))
    assert (said["untitled"].title, said["bare"].preset_cents[0], said["odd"].preset_cents) == (
        "untitled",
        2700,
        (2700, 5000),
    )


def catalogue_after_first(pool: Engine) -> list[tuple[str, str, str]]:
    """Make Alembic's own table, which the catalogue leaves out by name."""
    move(pool, "stamp", "base")
    with pool.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num text PRIMARY KEY)"))
    return catalogue(pool)


OLD_SCHEMA = [
    ("column", "contact.name", "text text NO NO"), ("column", "contact.note", "text text YES NO"),
    ("column", "message.state", "text text NO 'ready'::text NO"),
]  # fmt: skip


def test_what_would_break_code_of_before_or_stand_in_its_way_is_found():
    new = [("column", "contact.name", "bigint int8 NO NO"), ("column", "contact.note", "text text NO NO"),
           ("column", "contact.must", "text text NO NO"), ("column", "contact.may", "text text NO ''::text NO"),
           ("column", "contact.can", "text text YES NO"), ("column", "other.id", "bigint int8 NO YES ALWAYS")]  # fmt: skip
    assert [fault.split(" ", 1)[0] for fault in migration_rules.broken(OLD_SCHEMA, new)] == [
        "contact.name", "contact.note", "message.state", "contact.must"
    ]  # fmt: skip
    for line in (
        "op.create_index('x', 'message', ['state'])\n", 'op.execute("CREATE INDEX x ON message (id)")',
        "op.create_check_constraint('x', 'contact', 'true')\n", 'op.execute("UPDATE contact SET x = 1")',
        'op.execute("ALTER TABLE message ADD CONSTRAINT x CHECK (true)")', 'op.execute("LOCK TABLE message")',
    ):  # fmt: skip
        assert len(list(migration_rules.forbidden(line))) == 1, line
    for line in (
        "op.create_index('x', 'message', ['state'], postgresql_concurrently=True)\n", "op.add_column('message', sa.Column())",
        "op.create_table('thing')\nop.create_index('x', 'thing', ['contact'])\n",
        "CREATE TRIGGER x BEFORE UPDATE OF a ON message", "UPDATE bookmark SET x",
        "ALTER TABLE message ADD CONSTRAINT x CHECK (true) NOT VALID", "def downgrade(): op.execute('DELETE FROM message')",
    ):  # fmt: skip
        assert list(migration_rules.forbidden(line)) == [], line
    waits = {"SET LOCAL lock_timeout = '1500ms'": 0, "SET LOCAL lock_timeout = '10s'": 1, "SET LOCAL lock_timeout = 0": 1,
             "set_config('lock_timeout', '5s', true)": 1, "set_config('lock_timeout', '100ms', true)": 0}  # fmt: skip
    assert {line: len(list(migration_rules.patient(line))) for line in waits} == waits


NOBODY = "INSERT INTO {} (source, source_key, amount_cents) SELECT '', '', 1 WHERE false"


def test_a_gift_that_is_being_booked_goes_on_while_the_ledger_and_what_is_kept_are_migrated(empty: Engine):
    move(empty, "upgrade", "b3c5e9a14f72")
    with (
        ThreadPoolExecutor(1) as hands,
        psycopg.connect(empty.url.set(drivername="postgresql").render_as_string(False)) as worker,
    ):
        worker.execute(NOBODY.format("contribution"))
        upgrading = hands.submit(migrate.upgrade, empty)
        sleep(2)  # longer than Postgres waits before it looks for a circle
        worker.execute(NOBODY.format("ledger_entry"))
        assert not upgrading.done()
        worker.commit()
        assert upgrading.result()


def test_upgrading_twice_changes_nothing_and_loads_zips_and_letters_once(empty: Engine):
    assert migrate.upgrade(empty) is True
    with empty.connect() as connection:
        zips = connection.scalar(text("SELECT count(*) FROM zip"))
        letters = connection.execute(text("SELECT slug, created_at FROM mailing ORDER BY slug")).all()
    assert zips > 40_000
    assert {"operator_notice", "thank_you", "thank_you.es"} <= {row.slug for row in letters}
    assert migrate.upgrade(empty) is False
    with empty.connect() as connection:
        assert connection.execute(text("SELECT slug, created_at FROM mailing ORDER BY slug")).all() == letters
