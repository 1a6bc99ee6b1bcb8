"""`fab db.*` on a real server: questions, exact moves, backups that are whole, and the way back."""

from collections.abc import Callable

import pytest

from ..apps import migrations
from .site import Site


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """An application at revision 003, with rows in it."""
    made = site("db")
    made.app.release(migrations=[migrations.AVATAR_URL])
    made.deploy()
    rows = "SELECT n || '@example.org', 'p' || n FROM generate_series(1, 9) n"
    made.sql(f"INSERT INTO users (email, avatar_url) {rows}")
    return made


def test_questions_change_nothing(shop: Site) -> None:
    asked = {
        "003 (head)": shop.fab("db.current"),
        "002 -> 003 (head) (current), add avatar url": shop.fab("db.history"),
        "No new upgrade operations detected.": shop.fab("db.check"),
        "ALTER TABLE users DROP COLUMN avatar_url;": shop.fab("db.sql", "--range", "003:002"),
    }
    for words, done in asked.items():
        assert (done.code, done.after) == (0, done.before), done.told
        assert words in done.out, done.told
        assert "password" not in done.out + done.err
    assert shop.fab("db.sql", "--range", "nope; reboot").code == 2
    assert "Can't locate revision" in shop.fab("db.sql", "--range", "nope").err
