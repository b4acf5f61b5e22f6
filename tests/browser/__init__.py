"""The console's pages in a real browser: Chromium, which Playwright drives.

Here the pages have a service in memory behind them (`stage.py`, `sample.py`), so that every page and state can be
looked at fast. With a real gateway and a real Kafka behind them they are in tests/integration/test_console.py.
"""
