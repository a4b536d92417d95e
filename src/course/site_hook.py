"""What MkDocs calls before each build: the generated pages are written, and take their place."""

from mkdocs.config.defaults import MkDocsConfig

from course import site
from course.site_notebooks import NOTEBOOKS


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = site.generate(config.nav or [])
    if NOTEBOOKS.exists():
        config.watch = [*config.watch, str(NOTEBOOKS)]
    return config
