"""Frames made from kio's schemas and mutated, played against a session, hour after hour: `python -m tests.fuzz --help`.

A `World` (stage.py) is a gateway's inside with its clients and its broker; it plays one `Step` after the other and
holds what comes out against what may come out (checks.py). A `Player` (player.py) makes up the steps, from messages
(messages.py), mutations (mutations.py), tokens (tokens.py) and brokers' answers (answers.py). Everything follows from
the seed and the world's number; the steps of a failing world are reduced (reduce.py), written to a file and can be
played again.
"""
