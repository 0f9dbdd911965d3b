"""A study in PostgreSQL: Debian's server, started for these tests where it and psycopg are installed."""

import optuna
import pytest
import sqlalchemy

from benchmark.errors import BenchmarkError, RecordError
from benchmark.search.storage import open_storage, shown_place
from tests.search.postgresql_server import NewDatabase


@pytest.mark.slow
def test_one_command_at_a_time_has_a_study(new_database: NewDatabase) -> None:
    """A second one is refused, and may go on as soon as the first has ended; another study is free."""
    url = new_database("one_command")
    with (
        open_storage(url, "small"),
        open_storage(url, "other"),
        pytest.raises(RecordError, match="another search has study small open"),
        open_storage(url, "small"),
    ):
        pass
    with open_storage(url, "small") as storage:
        assert optuna.get_all_study_summaries(storage()) == []


@pytest.mark.slow
def test_a_server_that_goes_away_is_one_line(new_database: NewDatabase) -> None:
    """As when its machine is restarted in the middle of a search: what was finished is stored, so one may go on."""
    url = new_database("goes_away")
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'goes_away' AND pid != pg_backend_pid()"
    )
    with (
        pytest.raises(
            RecordError, match=r"/goes_away: does not answer any more \(.*\); start it and run the same"
        ) as error,
        open_storage(url, "small") as storage,
    ):
        study = optuna.create_study(storage=storage())
        study.ask()
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(ended))
        study.ask()
    engine.dispose()
    assert "\n" not in str(error.value)
    with open_storage(url, "small") as storage:
        assert len(optuna.load_study(study_name=None, storage=storage()).trials) == 1


@pytest.mark.slow
def test_a_database_that_is_not_there_is_one_line(new_database: NewDatabase) -> None:
    """With what the server says."""
    url = new_database("is_there").replace("is_there", "is_not_there")
    with (
        pytest.raises(RecordError, match=r'cannot be opened \(.*database "is_not_there" does not exist.*\)') as error,
        open_storage(url, "small"),
    ):
        pass
    assert "\n" not in str(error.value)


def test_a_server_that_does_not_answer_is_one_line() -> None:
    """Without the password."""
    pytest.importorskip("psycopg")
    url = "postgresql://bench:secret@127.0.0.1:1/study"
    assert shown_place(url) == "postgresql://bench:***@127.0.0.1:1/study"
    with (
        pytest.raises(RecordError, match=r"127\.0\.0\.1:1/study: cannot be opened \(.*\); start it") as error,
        open_storage(url, "small"),
    ):
        pass
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["postgresql://bench@host:port/study", "postgresql://[::1/study"])
def test_a_url_that_cannot_be_read_is_one_line(url: str) -> None:
    """It is the user's to mend."""
    with pytest.raises(BenchmarkError, match=r"is no URL of a database; write postgresql://USER@HOST/DATABASE"):
        shown_place(url)
