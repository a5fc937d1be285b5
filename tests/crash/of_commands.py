"""Commands that write in stretches: cut short they go on where they were, when somebody gives them once more."""

from collections.abc import Callable

from engine.actblue_import import running as actblue
from engine.errors import Conflict
from engine.people_import import running as people
from engine.people_import.layout import Choices
from engine.people_import.running import Source
from tests import csv_reports, people_lists
from tests.asgi import Answer
from tests.crash.driving import Act, Story
from tests.crash.processes import House, Process
from tests.sequences import alone


def given(work: Callable[[Process], object]) -> Act:
    """The command, which is refused while the same runs elsewhere."""

    def act(process: Process) -> object:
        try:
            work(process)
        except Conflict:
            return Answer(status=503)
        return Answer(status=200)

    return act


def _report(house: House, tag: str) -> Act:
    first = 10 * int(tag[3:7])
    rows = [csv_reports.paid(first + place, **{"Donor Email": f"{tag}{place}@example.org"}) for place in range(3)]
    path = csv_reports.write(house.deps.settings.data_dir / f"{tag}.csv", rows)
    return given(lambda process: actblue.run(process.deps, path, lambda *_: None))


def _list(house: House, tag: str) -> Act:
    told = [
        {"Email": f"{tag}{place}@example.org", "Subscription status": "subscribed", "ZIP": "01605"}
        for place in range(3)
    ]
    path = people_lists.write(house.deps.settings.data_dir / f"{tag}.csv", people_lists.LIST, told)
    return given(lambda process: people.run(process.deps, [Source(path, Choices())], lambda *_: None))


def _begin(house: House) -> None:
    alone(house.deps)
    house.deps.settings.data_dir.mkdir(exist_ok=True)


STORIES = (
    Story("a report of ActBlue's is imported", ("command actblue",), _report, _begin, sender=True),
    Story("a list of people is imported", ("command people",), _list, _begin, sender=True),
)
