"""The `gpbt` command: studies, reports, the dashboard, plugins and the demo, from a terminal.

Start with `main`, which lists the commands; `studies` implements those that read a study, `demo` the demo. May import
every other room. Importing a command's libraries happens inside the command, so that `gpbt --help` answers at once.
"""
