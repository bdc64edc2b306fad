"""Maps the folders of the repository to packages; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

plugins = find_packages("plugins")

setup(
    packages=[*find_packages(".", include=["nas", "nas.*"]), *plugins, "nas_searchspaces"],
    package_dir={
        **{name: f"plugins/{name}" for name in plugins if "." not in name},
        "nas_searchspaces": "searchspaces",
    },
)
