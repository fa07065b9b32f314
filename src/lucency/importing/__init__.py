"""Networks from elsewhere as runs and bundles: `import_model`."""

from lucency.importing.importer import Imported, import_model

__all__ = ["Imported", "import_model"]
