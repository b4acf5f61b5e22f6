"""Pure decisions: who may do what, under which name. No bytes, no error codes, no clock, no I/O."""
