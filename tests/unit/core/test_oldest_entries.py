"""The oldest entries of a dict are removed, and the newest stay."""

from core.oldest_entries import limit_entries


def test_up_to_the_limit_nothing_is_removed():
    entries = dict.fromkeys(range(100))
    limit_entries(entries, 100)
    assert list(entries) == list(range(100))


def test_beyond_the_limit_the_oldest_tenth_is_removed():
    entries = dict.fromkeys(range(101))
    limit_entries(entries, 100)
    assert list(entries) == list(range(11, 101))


def test_the_newest_entry_always_stays():
    for most in (1, 2, 5, 9, 10):
        entries = dict.fromkeys(range(50))
        limit_entries(entries, most)
        assert list(entries)[-1] == 49
        assert len(entries) <= most
