"""How long a worker that has died waits for its next start."""

from controlplane.restarts import LONGEST_SECONDS, STEADY_SECONDS, Restarts


def test_pauses_grow_to_their_limit() -> None:
    restarts = Restarts()

    assert [restarts.pause(0.5) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_whoever_has_lived_for_long_starts_at_once_again() -> None:
    restarts = Restarts()
    for _ in range(7):
        restarts.pause(STEADY_SECONDS - 1)

    assert restarts.pause(STEADY_SECONDS) == 1
    assert restarts.pause(LONGEST_SECONDS) == 2
