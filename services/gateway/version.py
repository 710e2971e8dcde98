"""The version of the API, as its documents tell it."""

VERSION = "0.1.0"
