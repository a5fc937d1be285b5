"""A simulation as a picture: an SVG that needs nothing else, in light and in dark. Pure.

Bars begin at nothing, each says its number; a line through its end is the margin. What a bar is, stands beside it.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from html import escape
from zoneinfo import ZoneInfo

from engine.reports.estimates import Estimate
from engine.reports.outcomes import Counted, Simulated

WIDTH, SIDE = 960, 48
MOST_DAYS, MOST_CHAPTERS, MOST_LINES = 28, 12, 8  # that are shown; of more, those with the most letters, or the first
_PLOT, _ROW, _LABELS = 240, 26, 56
_STYLE = """
svg { background: #fbfaf7; color: #1c1b19; font: 15px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
text { fill: currentColor; font-variant-numeric: tabular-nums; } .quiet { fill: #5f5b53; font-size: 13px; }
.title { font-size: 22px; font-weight: 650; letter-spacing: -0.01em; } .head { font-weight: 650; }
.bar { fill: #0f5c5a; } .line { stroke: #e2ddd2; } .margin { stroke: currentColor; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) { svg { background: #161513; color: #f1eee7; } .quiet { fill: #b9b3a7; }
  .bar { fill: #6fc4bf; } .line { stroke: #37342e; } }
"""


def svg(found: Simulated) -> str:
    """The picture, WIDTH wide and as high as it must be."""
    parts: list[str] = []
    below = 130
    parts += _days(found, below)
    below += _PLOT + _LABELS + 44
    for title, lines in _tables(found):
        parts.append(_text(SIDE, below, title, "head"))
        parts += _rows(lines, below + 10)
        below += _ROW * len(lines) + 48
    about = f"{found.name}: about {found.letters.number:,} letters to {found.sample.people:,} people"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {below}" role="img" aria-labelledby="what">',
        f'<title id="what">{escape(about)}</title>',
        f"<style>{_STYLE}</style>",
        _text(SIDE, 48, found.name, "title"),
        *(_text(SIDE, 74 + 20 * place, says, "quiet") for place, says in enumerate(_summary(found))),
    ]
    return "\n".join([*head, *parts, "</svg>\n"])


def in_words(estimate: Estimate) -> str:
    """ "1,234", or "1,234 ± 56" when not all were looked at."""
    return f"{estimate.number:,}" + (f" ± {estimate.margin:,}" if estimate.margin else "")


def ending(state: str, reason: str) -> str:
    """How somebody's way ended, in words."""
    if state == "finished":
        return "came to the end"
    return "still in it" if state == "active" else f"left: {reason}"


def unsent(step: str, state: str, reason: str) -> str:
    """What became of letters that did not leave, in words."""
    because = f": {reason}" if reason else ""
    return f"{step}, {'still waits' if state == 'ready' else state}{because}"


def on(day: date) -> str:
    """A day in a few words: "Tue 3 Nov"."""
    return f"{day:%a} {day.day} {day:%b}"


def _summary(found: Simulated) -> tuple[str, str]:
    sample = found.sample
    looked = "all of them were looked at"
    if sample.looked_at < sample.people:
        looked = f"{sample.looked_at:,} of them were looked at: ± with a certainty of 95 in 100"
    return (
        f"{in_words(found.letters)} letters to {sample.people:,} people; {looked}",
        f"from {on(found.since.astimezone(ZoneInfo(found.zone)).date())} on, as if nobody gave, clicked or unsubscribed",
    )


def _days(found: Simulated, top: int) -> Iterator[str]:
    """A column for each day on which letters leave; what leaves stands below."""
    shown = list(found.by_day[:MOST_DAYS])
    yield _text(SIDE, top + 4, "Letters by day", "head")
    if not shown:
        yield _text(SIDE, top + 40, "no letter leaves", "quiet")
        return
    highest = max(each.how_much.most for each in shown) or 1
    steps: dict[date, list[str]] = {}
    for each in found.by_day_and_step:
        steps.setdefault(each.what[0], []).append(each.what[1])
    floor, wide = top + _PLOT, (WIDTH - 2 * SIDE) / len(shown)
    bar = min(64.0, wide * 0.62)
    small = len(shown) > 10
    yield f'<line class="line" x1="{SIDE}" x2="{WIDTH - SIDE}" y1="{floor}" y2="{floor}"/>'
    for place, each in enumerate(shown):
        middle = SIDE + wide * (place + 0.5)
        day, how_much = each.what[0], each.how_much
        high = _scaled(how_much.number, highest)
        said = f"{on(day)}: {in_words(how_much)} letters ({', '.join(steps.get(day, ()))})"
        yield (
            f'<g><title>{escape(said)}</title><rect class="bar" x="{middle - bar / 2:.1f}" y="{floor - high:.1f}"'
            f' width="{bar:.1f}" height="{high:.1f}" rx="3"/>'
        )
        if how_much.margin:
            ends = floor - _scaled(how_much.least, highest), floor - _scaled(how_much.most, highest)
            yield f'<line class="margin" x1="{middle:.1f}" x2="{middle:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}"/>'
        above = floor - _scaled(how_much.most, highest) - 8
        yield (
            _text(middle, above, _short(how_much.number) if small else f"{how_much.number:,}", "", anchor="middle")
            + "</g>"
        )
        if small:
            yield _turned(middle + 4, floor + 14, on(day))
        else:
            yield _text(middle, floor + 22, on(day), "", anchor="middle")
            yield _text(
                middle, floor + 42, _cut(", ".join(steps.get(day, ())), int(wide / 7)), "quiet", anchor="middle"
            )
    if len(found.by_day) > len(shown):
        yield _text(WIDTH - SIDE, top + 4, f"and {len(found.by_day) - len(shown)} more days", "quiet", anchor="end")


def _tables(found: Simulated) -> Iterator[tuple[str, list[tuple[str, Estimate]]]]:
    yield from _table("Letters by chapter", found.by_chapter, lambda what: what[0] or "the root", MOST_CHAPTERS)
    yield from _table("Letters by step", found.by_step, lambda what: " ".join(filter(None, what)), MOST_CHAPTERS)
    yield from _table("How people end", found.ends, lambda what: ending(*what), MOST_LINES)
    yield from _table("Letters that were put off", found.put_off, lambda what: what[0], MOST_LINES)
    yield from _table("Letters that do not leave", found.unsent, lambda what: unsent(*what), MOST_LINES)


def _table(
    title: str, counted: Sequence[Counted], says: object, most: int
) -> Iterator[tuple[str, list[tuple[str, Estimate]]]]:
    assert callable(says)
    lines = [(str(says(each.what)), each.how_much) for each in counted]
    if len(lines) > most:
        lines = sorted(lines, key=lambda line: -line[1].number)
        title += f" (the {most} with the most of {len(lines):,})"
    if lines:
        yield title, lines[:most]


def _rows(lines: Sequence[tuple[str, Estimate]], top: int) -> Iterator[str]:
    """A bar for each line, its words before it, its number behind."""
    longest = max(how_much.most for _, how_much in lines) or 1
    begins, room = SIDE + 330, WIDTH - 2 * SIDE - 330 - 130
    for place, (says, how_much) in enumerate(lines):
        middle = top + _ROW * place + 14
        long = how_much.number / longest * room
        yield _text(SIDE, middle + 5, _cut(says, 44), "")
        yield f'<rect class="bar" x="{begins}" y="{middle - 7}" width="{max(long, 1):.1f}" height="14" rx="3"/>'
        end = begins + long
        if how_much.margin:
            ends = begins + how_much.least / longest * room, begins + how_much.most / longest * room
            yield f'<line class="margin" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{middle}" y2="{middle}"/>'
            end = ends[1]
        yield _text(end + 8, middle + 5, in_words(how_much), "quiet")


def _scaled(number: int, highest: int) -> float:
    return number / highest * (_PLOT - 48)


def _text(x: float, y: float, says: str, kind: str, *, anchor: str = "") -> str:
    of = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:g}" y="{y:g}"{of}>{escape(says)}</text>'


def _turned(x: float, y: float, says: str) -> str:
    return f'<text class="quiet" transform="translate({x:.1f} {y}) rotate(-60)" text-anchor="end">{escape(says)}</text>'


def _short(number: int) -> str:
    """ "12.3k" where there is no room for more."""
    return (
        f"{number:,}"
        if number < 10_000
        else f"{number / 1000:,.0f}k"
        if number < 1_000_000
        else f"{number / 1e6:,.1f}M"
    )


def _cut(says: str, most: int) -> str:
    return says if len(says) <= most else says[: most - 1] + "…"
