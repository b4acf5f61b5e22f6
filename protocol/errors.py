"""Whose fault a protocol failure is. A refusal by policy is an answer, never one of these."""


class ProtocolError(Exception):
    """Bytes that can't be understood. The text names the frame, the field or the limit, and never quotes payload."""


class ClientProtocolError(ProtocolError):
    """The client sent them: its connection is closed with this reason."""


class BrokerProtocolError(ProtocolError):
    """The broker sent them: the pair of connections is closed with this reason."""


class DecodeError(ProtocolError):
    """A message body that doesn't follow its schema. The caller knows which side it came from."""


class EncodeError(ProtocolError):
    """A value that its field can't carry, such as a string beyond 32767 bytes."""
