"""Errors of reports: what a user can mend. Each message is one line that says what was read and what is expected."""


class ReportError(ValueError):
    """A folder or file cannot be reported on."""


class FileFormatError(ReportError):
    """A file is missing, cut, no JSON, or of another form; the message does not repeat the file's name."""
