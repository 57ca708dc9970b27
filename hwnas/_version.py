"""The version of hwnas, in one place."""

__version__ = "0.1.0"
