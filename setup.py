"""Build pyd2. The metadata is in pyproject.toml; the compiled parts are listed here as they come."""

from setuptools import setup

setup()
