"""Read answers to blind tests of a run and say what they show."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from reports import text
from reports.blind.formats import FOLDER, KEY, AnswersFile, KeyFile, NamedAnswer, RankedPreference, RankingFile
from reports.errors import FileFormatError, ReportError
from reports.file_access import read_bytes
from reports.results import Results
from reports.schema import loads, parse, read
from reports.statistics.agreement import agreement
from reports.statistics.preference_ranking import rank_rows
from reports.statistics.preferences import Choice, Outcome, connected_groups

_MOST_BYTES = 20_000_000
_OUTCOMES: Mapping[str, Outcome] = {"left": "first", "right": "second", "tie": "tie"}


@dataclass(frozen=True)
class _Session:
    """A file of answers."""

    file: Path
    digest: str
    content: AnswersFile
    choices: tuple[Choice, ...]
    """The left picture first."""


def evaluate(results: Results, files: Sequence[Path]) -> RankingFile:
    """Return the ranking of rows by the answers in the files; they may belong to several tests of the run.

    Raises:
        ReportError: A file is no file of answers, or belongs to no test of this run; or the answers do not connect all
            rows. One line says which.
    """
    keys = _keys(results.folder)
    sessions, notes = _without_repeated([_session(file, keys) for file in files])
    choices = [choice for session in sessions for choice in session.choices]
    if not choices:
        raise ReportError(f"{text.count(len(files), 'file')} of answers without an answer: there is nothing to rank")
    tests = tuple(dict.fromkeys(session.content.test for session in sessions))
    rows = list(dict.fromkeys(row for test in tests for row in keys[test].seeds))
    groups = connected_groups(choices, rows)
    if len(groups) > 1:
        named = text.listing([f"({', '.join(map(text.printable, group))})" for group in groups])
        raise ReportError(
            f"the answers compare no row of {named} with a row of the other groups, so they have no common ranking; "
            "collect more answers, until each row was compared with another one of each group"
        )
    ranking = rank_rows(choices, rows)
    agreed = agreement(choices)
    decided = [choice.outcome for choice in choices if choice.outcome != "tie"]
    seeds = {row: seed for test in tests for row, seed in keys[test].seeds.items()}
    return RankingFile(
        tests=tests,
        sessions={session.content.session: session.digest for session in sessions},
        people=ranking.people,
        simulated=len({_person(session.content) for session in sessions if session.content.simulated}),
        images=ranking.images,
        choices=ranking.choices,
        ties=1 - len(decided) / len(choices),
        left=decided.count("first") / len(decided) if decided else None,
        dropped=ranking.dropped,
        shared=agreed.shared,
        equal=agreed.equal,
        alpha=agreed.alpha,
        repeated=agreed.repeated,
        consistent=agreed.consistent,
        rows=tuple(RankedPreference(**asdict(row), seed=seeds[row.row]) for row in ranking.rows),
        notes=(*notes, *_changed(results, [keys[test] for test in tests])),
        answers=_named(sessions),
    )


def _keys(run: Path) -> dict[str, KeyFile]:
    """Return the key of each test of a run."""
    keys: dict[str, KeyFile] = {}
    for path in sorted((run / FOLDER).glob(f"*/{KEY}")):
        try:
            key = read(KeyFile, path)
        except FileFormatError as error:
            raise ReportError(f"{path}: {error}") from error
        keys[key.test] = key
    if not keys:
        raise ReportError(
            f"{run / FOLDER}: no key of a blind test; make one with `python -m benchmark blind {run} --rows ...`"
        )
    return keys


def _session(file: Path, keys: Mapping[str, KeyFile]) -> _Session:
    try:
        data = read_bytes(file, _MOST_BYTES)
        content = parse(AnswersFile, loads(data.decode("utf-8-sig")))
    except OSError as error:
        raise ReportError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeError as error:
        raise ReportError(f"{file}: no answers of a blind test (no UTF-8)") from error
    except FileFormatError as error:
        raise ReportError(f"{file}: no answers of a blind test: {error}") from error
    if content.test not in keys:
        raise ReportError(
            f"{file}: answers to test {text.printable(content.test)[:40]}, of which this run has no key; "
            f"it has those of {', '.join(keys)}"
        )
    return _Session(file, hashlib.sha256(data).hexdigest(), content, _choices(file, content, keys[content.test]))


def _choices(file: Path, content: AnswersFile, key: KeyFile) -> tuple[Choice, ...]:
    choices: list[Choice] = []
    for number, answer in enumerate(content.answers, 1):
        left, right = key.pictures.get(answer.left), key.pictures.get(answer.right)
        if left is None or right is None or left.image != right.image or left.row == right.row:
            raise ReportError(f"{file}: answer {number} is about no pair of test {key.test}; the file was changed")
        outcome = _OUTCOMES[answer.choice]
        choices.append(Choice(_person(content), left.image, left.row, right.row, outcome))
    return tuple(choices)


def _named(sessions: Sequence[_Session]) -> tuple[NamedAnswer, ...]:
    """Return the answers by the names of their rows; people get numbers in the order of their first session."""
    people = list(dict.fromkeys(_person(session.content) for session in sessions))
    return tuple(
        NamedAnswer(
            person=people.index(choice.person) + 1,
            image=choice.image,
            left=choice.first,
            right=choice.second,
            choice=answer.choice,
            seconds=answer.seconds,
        )
        for session in sessions
        for choice, answer in zip(session.choices, session.content.answers, strict=True)
    )


def _person(content: AnswersFile) -> str:
    """Return who answered: the name that was typed, or the session."""
    return content.person.strip().casefold() or f"\0{content.session}"


def _without_repeated(sessions: Sequence[_Session]) -> tuple[list[_Session], list[str]]:
    """Return each session once, with its longest file, and a note for each file that is left out."""
    longest: dict[str, _Session] = {}
    for session in sessions:
        other = longest.get(session.content.session)
        if other is None or len(session.choices) > len(other.choices):
            longest[session.content.session] = session
    kept = list(longest.values())
    notes = [
        f"{text.printable(session.file.name)} is left out: the session is also in "
        f"{text.printable(longest[session.content.session].file.name)}."
        for session in sessions
        if session not in kept
    ]
    return kept, notes


def _changed(results: Results, keys: Sequence[KeyFile]) -> list[str]:
    """Return a note for each row that was run again with other settings since the test was made."""
    now = {(record.row, record.seed): record.config_hash for record in results.finished}
    return [
        f"{text.printable(row)} was run with other settings after the test was made: its images were other ones."
        for row in dict.fromkeys(row for key in keys for row in key.seeds)
        if any(now.get((row, key.seeds[row])) != key.config_hashes[row] for key in keys if row in key.seeds)
    ]
