from pyd2 import __version__

project = "pyd2"
author = "the pyd2 authors"
copyright = "the pyd2 authors; licence MPL-2.0"  # noqa: A001  Sphinx's name
release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"pyd2 {release}"

# The contract quotes JSON, shell and wire dumps in one block each; a lexer that fails on one is no fault.
suppress_warnings = ["misc.highlighting_failure"]
