"""The pages of the site: what they include, what is generated, and how they are built."""
