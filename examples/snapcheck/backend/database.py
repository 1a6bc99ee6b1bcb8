"""Where the data are: the engine, made from the environment variable DATABASE_URL."""

import os
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url

DEVELOPMENT_DATABASE = Path(__file__).with_name("snapcheck.db")


def database_url() -> URL:
    """Return the URL of the database: DATABASE_URL, or a SQLite file beside this one when it is not set.

    Raises RuntimeError when DATABASE_URL is set but empty: on a server a forgotten value must not
    end in an empty SQLite file.
    """
    text = os.environ.get("DATABASE_URL")
    if text is None:
        return URL.create("sqlite", database=str(DEVELOPMENT_DATABASE))
    if not text:
        raise RuntimeError("DATABASE_URL is set but empty")
    url = make_url(text)
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    return url


engine = create_engine(database_url(), pool_pre_ping=True)
