"""The documentation as a site: `make site` builds it into build/site, with a search, and fails at any warning or dead link."""

from qconv import __version__

project, release = "qconv", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Float ONNX networks as certified integer-only ones",
    "page_width": "70rem",
    "fixed_sidebar": True,
}
html_copy_source = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_mock_imports = ["torch"]
exclude_patterns = ["build"]
