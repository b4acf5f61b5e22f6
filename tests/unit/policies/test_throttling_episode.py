"""An episode of throttling: what belongs together, when it ends, how long it has lasted."""

from policies.throttling_episode import ThrottlingEpisode


def test_it_goes_on_for_ten_seconds_after_the_last_throttling() -> None:
    episode = ThrottlingEpisode(100.0, 0.25)
    assert episode.look(100.25, False)
    assert episode.look(110.0, False)
    assert not episode.look(110.25, False)
    assert episode.seconds(110.25) == 0.25


def test_throttling_within_the_quiet_time_belongs_to_it() -> None:
    episode = ThrottlingEpisode(100.0, 1.0)
    episode.note(110.5, 2.0)
    assert episode.look(122.0, False)
    assert not episode.look(122.5, False)
    assert episode.seconds(122.5) == 12.5


def test_whoever_is_still_throttled_keeps_it_going() -> None:
    """Others have charged meanwhile, so that it takes longer than was reckoned."""
    episode = ThrottlingEpisode(100.0, 1.0)
    for half in range(100):
        assert episode.look(100 + half / 2, True)
    assert episode.seconds(150.0) == 49.5
    assert not episode.look(159.5, False)


def test_what_was_reckoned_too_long_is_corrected() -> None:
    """The limit was raised, or the connection has left."""
    episode = ThrottlingEpisode(100.0, 3600.0)
    assert episode.look(101.0, False)
    assert not episode.look(111.0, False)
    assert episode.seconds(111.0) == 1.0


def test_a_wait_without_end() -> None:
    """While this process has no share of the limit at all."""
    episode = ThrottlingEpisode(100.0, float("inf"))
    assert episode.look(200.0, True)
    assert episode.seconds(200.0) == 100.0
    assert episode.look(200.5, False)
    assert episode.seconds(300.0) == 100.5
