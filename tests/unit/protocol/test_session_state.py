"""Before a client has signed in, only these requests are heard."""

from protocol.session_state import ALLOWED_BEFORE_READY, SessionState


def test_what_each_state_hears() -> None:
    heard = {state: sorted(ALLOWED_BEFORE_READY.get(state, ())) for state in SessionState}
    assert heard == {
        SessionState.CONNECTED: [17, 18],
        SessionState.AUTHENTICATING: [18, 36],
        SessionState.RAW_TOKEN: [],
        SessionState.REFUSED: [18],
        SessionState.FAILED: [],
        SessionState.READY: [],
        SessionState.REAUTHENTICATING: [36],
        SessionState.DRAINING: [],
        SessionState.CLOSED: [],
    }
