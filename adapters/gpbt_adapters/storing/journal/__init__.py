"""The journal: what happens to a study is in a database before anyone acts on it.

SQLite serves the processes of one machine, PostgreSQL those of many. Several processes may ask and tell one study: each
appends its events behind those that it knows of, and one that was not the first reads what came before and tries again,
so that no study ever forks. Opening a study goes on exactly where it stood.
"""

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401 - tells a missing extra from a broken module
except ImportError as error:
    raise ImportError(
        'gpbt.open_study needs SQLAlchemy, which is not installed: pip install "gpbt[journal]"'
    ) from error

from gpbt_adapters.storing.journal.lines import export_study, import_study
from gpbt_adapters.storing.journal.storage import Journal, JournalError
from gpbt_adapters.storing.journal.study import Study, open_study
from gpbt_adapters.storing.journal.upkeep import check_journal, copy_journal

__all__ = [
    "Journal",
    "JournalError",
    "Study",
    "check_journal",
    "copy_journal",
    "export_study",
    "import_study",
    "open_study",
]
