"""Whether docs/console has the pictures that `make console-pictures` takes. What they show is for people to look at."""

from pathlib import Path

from tests.browser.pictures import INDEX, file_names, index
from tests.browser.shots import SHOTS

FOLDER = Path(__file__).parents[2] / "docs" / "console"


def test_the_pictures_are_those_of_the_index() -> None:
    assert (FOLDER / INDEX).read_text(encoding="utf-8") == index(SHOTS), "run 'make console-pictures'"
    assert {path.name for path in FOLDER.glob("*.png")} == file_names(SHOTS), "run 'make console-pictures'"
