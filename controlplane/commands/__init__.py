"""The commands that speak to the REST API. Each file declares its options and does its work; `register` adds all.

`zonegate --help` imports every file here, so what takes long to import (httpx, pydantic, the table of APIs) is
imported by the functions that need it.
"""
