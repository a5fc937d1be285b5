"""Whatever libraries would write down, at any level, stands in no log of ours; nor does what a command says of a mishap."""

import subprocess
import sys
from time import process_time

from engine.redaction import Redactor
from engine.settings import ROOT, Settings
from tests.processes import talkative
from tests.system import GROUNDSWELL, clean_environment

SECRETS = {
    "SENDGRID_API_KEY": "SG.zqcanarykey0123456789.zqcanarykey0123456789abcdef",
    "STRIPE_API_KEY": "rk_live_zqcanarykey0123456789abcdef",
    "SIGNUP_WEBHOOK_TOKENS": "zqcanary-token-of-a-sign-up-0123456789",
    "SECRET_KEY": "zqcanary-secret-key-0123456789-abcdefghij",
}


def test_a_talkative_process_writes_down_nothing_of_people_keys_or_cards(module_database: str):
    environment = clean_environment(**SECRETS, DATABASE_URL=module_database, STRIPE_LOG="debug", LOG_FORMAT="json")
    command = [sys.executable, "-m", "tests.processes.talkative"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    for event in (
        "began",
        "by mistake",
        "headers",
        "answered",
        "refused",
        "a thread ends",
        "ended",
        "the process ends",
    ):
        assert event in said, said
    assert "INSERT INTO contact" in said  # so much was asked for
    for canary in ("zqcanary", talkative.CARD, "enFjYW5hcnk6"):
        assert [line for line in said.splitlines() if canary.lower() in line.lower()] == []


def test_a_command_that_cannot_reach_its_servers_says_no_password(tmp_path):
    environment = clean_environment(
        **SECRETS, DATABASE_URL="postgresql://us:zqcanary-password-0123@127.0.0.1:9/x", REDIS_URL="redis://:zqcanary-pass@127.0.0.1:9/0",
        GROUNDSWELL_DATA_DIR=str(tmp_path),
    )  # fmt: skip
    done = subprocess.run(
        [*GROUNDSWELL, "doctor"], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "zqcanary" not in (done.stdout + done.stderr).lower()


def test_what_is_taken_out_and_what_stays():
    redact = Redactor(Settings(signup_webhook_tokens="correct-horse-battery,another-secret-of-ours").secrets)
    assert redact("Ana <ana.costa+x@example.org> said correct-horse-battery") == "Ana <[address]> said [secret]"
    assert redact("postgresql://groundswell:p%40ss@db:5432/x") == "postgresql://[login]@db:5432/x"
    assert redact("4242 4242 4242 4242, 4242424242424241") == "[card], 4242424242424241"
    assert (
        redact("Authorization: Bearer abcdefgh.ijk whsec_abcdef SG.abcd.efgh")
        == "Authorization: [credentials] [key] [key]"
    )
    assert redact("/u/WzcsOF0.rjmtMrekr3GP_vGrAFN9OXN8gmGhnUBPcJpvVTc_CaE") == "/u/[token]"
    plain = (
        '{"event":"letter handed over","message":700000000123,"ms":1.25,"timestamp":"2026-11-30T20:33:52.123456+00:00"}'
    )
    assert redact(plain) == plain


def test_a_long_line_takes_as_much_more_as_it_is_longer():
    redact, began = Redactor(), process_time()
    for line in ("a" * 50_000, "-W" * 25_000, "a@" * 25_000):
        assert redact(line) == line
    assert process_time() - began < 5  # squared it would be half a minute
