"""The journal: every event of a study is stored in a database before anyone acts on it.

Use SQLite for the processes of one machine, and PostgreSQL for several machines. Several processes may ask and tell one
study. Each appends its events after those that it knows. If another process has appended first, it reads the new events
and retries, so that a study never forks. Opening a study resumes it exactly where it was.
"""

try:
    import sqlalchemy as _sqlalchemy  # noqa: F401 - distinguishes a missing extra from a broken module
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
