"""What MkDocs calls before each build: the generated pages are written, and take their place."""

from mkdocs.config.defaults import MkDocsConfig

from course.site import pages
from course.site.notebooks import NOTEBOOKS


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = pages.generate(config.nav or [])
    if NOTEBOOKS.exists():
        config.watch = [*config.watch, str(NOTEBOOKS)]
    return config
