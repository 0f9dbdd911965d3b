"""The files of a blind test: the key, the answers of a person, and the ranking that a report shows."""

from typing import Literal

from reports.schema import FileModel, VersionedFile

FOLDER = "blind"
"""In the folder of a run: a folder for each test, and the ranking."""
KEY, PAGE, RANKING = "key.json", "blind_test.html", "ranking.json"

Side = Literal["left", "right", "tie"]


class KeyPicture(FileModel):
    """What a salted id stands for."""

    image: str
    row: str


class KeyFile(VersionedFile):
    """key.json: what the page of a test does not say. Nobody who answers should see it."""

    test: str
    salt: str
    seeds: dict[str, int | None]
    """Row -> the seed whose images are shown; None for a baseline."""
    config_hashes: dict[str, str]
    """Row -> hash of its configuration at that time."""
    pictures: dict[str, KeyPicture]
    """Salted id -> picture."""


class Answer(FileModel):
    """What a person chose; `left` and `right` are salted ids."""

    left: str
    right: str
    choice: Side
    seconds: float


class AnswersFile(VersionedFile):
    """What the page of a test writes for one person."""

    test: str
    session: str
    """A random name that the page gave itself; a session that is saved twice counts once."""
    person: str = ""
    """What the person typed; people without a name are known by their session."""
    simulated: bool = False
    """A program made these answers."""
    answers: tuple[Answer, ...]


class RankedPreference(FileModel):
    """A row in the ranking; see `reports.statistics.preference_ranking.RankedRow`."""

    row: str
    seed: int | None
    strength: float
    preferred: float
    interval: tuple[float, float] | None
    places: tuple[int, int] | None


class NamedAnswer(FileModel):
    """An answer by the names of its rows, for others who want to rank them in their own way; it names no person."""

    person: int
    """People are numbered from 1."""
    image: str
    left: str
    right: str
    choice: Side
    seconds: float


class RankingFile(VersionedFile):
    """ranking.json: what the answers say, and the answers by the names of the rows. It belongs into a published study.

    It has neither salt nor ids, so that it tells nothing about the page of a test that still goes on.
    """

    tests: tuple[str, ...]
    sessions: dict[str, str]
    """Session -> SHA-256 of its file of answers."""
    people: int
    simulated: int
    """How many of the people are programs."""
    images: int
    choices: int
    ties: float
    """Share of answers that chose neither."""
    left: float | None
    """Share of the left picture among the answers that chose one; far from 0.5 is a habit, no preference."""
    dropped: float
    """Share of bootstrap samples left out."""
    shared: int
    equal: float | None
    alpha: float | None
    repeated: int
    consistent: float | None
    rows: tuple[RankedPreference, ...]
    notes: tuple[str, ...] = ()
    answers: tuple[NamedAnswer, ...] = ()
    """Of all people, in the order of their files; files of earlier versions have none."""
    digest: str = ""
    """SHA-256 of the file with the empty text here; files of earlier versions have none."""
