"""Bars over time as the numbers that an SVG needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 100

# Room above the bars for the number of the highest, and below them for the times.
ABOVE, BELOW = 14, 18

_GAP = 2
# A single failure among thousands is still seen.
_LEAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    # In the legend and in the table.
    name: str
    # Of its look: plain, good, bad.
    kind: str
    # One for each time.
    values: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Text, so that no template writes the numbers as a country does."""

    kind: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    time: str
    values: tuple[int, ...]
    bars: tuple[Bar, ...]
    x: str
    # Its time stands below it.
    is_labelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    # Of its own in the page.
    name: str
    title: str
    series: tuple[Series, ...]
    slots: tuple[Slot, ...]
    # The height of the highest bar, all its series together.
    highest: int
    totals: tuple[tuple[str, int], ...]

    box = f"0 0 {WIDTH} {ABOVE + HEIGHT + BELOW}"
    width, bottom, label_y = str(WIDTH), str(ABOVE + HEIGHT), str(ABOVE + HEIGHT + 13)

    @property
    def is_empty(self) -> bool:
        return self.highest == 0


def chart(
    *, name: str, title: str, times: Sequence[str], series: Sequence[Series], every: int = 6
) -> Chart:
    """The series on top of each other, the first below. ``name``: of its own in the page;
    ``every``: how many slots go to a label."""
    columns = list(zip(*(one.values for one in series), strict=True))
    highest = max((sum(column) for column in columns), default=0)
    step = WIDTH / max(len(times), 1)
    kinds = [one.kind for one in series]
    return Chart(
        name=name,
        title=title,
        series=tuple(series),
        slots=tuple(
            Slot(
                time=time,
                values=column,
                bars=tuple(_bars(kinds, column, number * step, step, highest)),
                x=_text(number * step + _GAP),
                is_labelled=number % every == 0,
            )
            for number, (time, column) in enumerate(zip(times, columns, strict=True))
        ),
        highest=highest,
        totals=tuple((one.name, sum(one.values)) for one in series),
    )


def _bars(
    kinds: Sequence[str], values: Sequence[int], x: float, step: float, highest: int
) -> Iterator[Bar]:
    heights = [max(HEIGHT * value / highest, _LEAST) if value else 0 for value in values]
    # What the least ones have too much is taken from the largest, so that all stay in the picture.
    surplus = max(sum(heights) - HEIGHT, 0)
    heights[heights.index(max(heights))] -= surplus
    y = float(ABOVE + HEIGHT)
    for kind, height in zip(kinds, heights, strict=True):
        y -= height
        if height:
            yield Bar(
                kind=kind,
                x=_text(x + _GAP),
                y=_text(y),
                width=_text(step - 2 * _GAP),
                height=_text(height),
            )


def _text(number: float) -> str:
    return f"{number:.2f}"
