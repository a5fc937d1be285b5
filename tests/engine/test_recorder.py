"""What the benches of restore and upgrade judge by: letters that came twice are found by whom they went to and what for."""

import io
import json
from pathlib import Path

from bench.recorder import Recorder


def test_a_letter_that_came_twice_under_other_ids_is_found_and_two_letters_to_one_person_are_none(tmp_path: Path):
    told = [
        ("a", "1", "thanks"),
        ("a", "2", "ask"),
        ("b", "3", "ask"),
        ("a", "9", "ask"),
        ("c", "4", ""),
        ("c", "4", ""),
    ]
    lines = [
        {"email": f"{who}@example.org", "gs_message": message} | ({"gs_code": code} if code else {})
        for who, message, code in told
    ]
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recorder = Recorder("", "", tmp_path / "log", io.StringIO())
    assert recorder.doubles() == {("a@example.org", "ask"): 2, ("c@example.org", "4"): 2}
